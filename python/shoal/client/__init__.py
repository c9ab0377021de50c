"""The other end of a link: twins of a server, from a script, a notebook or asyncio.

================  ===================================================================================
``codec``         a lane's values between the wire and its class
``place``         which lane of which twin, by class or by URI
``shared``        one link on the wire, and all in this program that look at it
``feeds``         what an iteration gets: the newest value, the newest of each key, or every event
``entries``       a map lane as a read-only mapping
``commands``      what is sent, and whether it has been read
``http``          questions that go by HTTP: state, searches, requests
``session``       one server's connections, shared links and commands
``live``          a link as an asyncio program holds it
``asynchronous``  ``AsyncClient``
``thread``        the thread in which a blocking client's loop runs
``blocking``      ``Client`` and its links
================  ===================================================================================
"""

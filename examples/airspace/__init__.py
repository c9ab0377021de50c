"""Live twins of the aircraft over Paris.

``app`` the twins · ``recorded`` real data into the cache · ``simulator`` data without a network · ``readings``
``snapshot`` what the screen and the totals ask a run · ``screen`` ``picture`` the live view · ``totals`` ``recount``
the sums and a plain second opinion · ``demo`` the command.
"""

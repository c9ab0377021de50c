"""The lanes that a twin class declares: one kind a file, each with the same inner order.

A lane is entered under a number (``_enter``), resolved to a type and its sources (``_resolve``), and put into the
declaration and bound to the core (``_declare``): once for each class that has it.
"""

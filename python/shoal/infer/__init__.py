"""What the records of a file are: from a look at the first of them to an app, without a program.

- ``look``: the first records, column by column; ``kinds``: what the values of one field are
- ``key``, ``clock``, ``group``, ``place``, ``units``: which field names the twin, tells the time, makes groups …
- ``model``: all of that together; ``names``: what it is called in Python
- ``report``: the model for a person; ``program``: the model as a program, which is also what runs
- ``late``: fields that show up later
"""

from shoal.infer.look import Look
from shoal.infer.model import Choices, Model, infer

__all__ = ["Choices", "Look", "Model", "infer"]

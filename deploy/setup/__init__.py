"""From a fresh clone to a working one: the virtual environment, and the locks that it is made from."""

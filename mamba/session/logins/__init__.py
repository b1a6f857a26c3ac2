"""How a person's name and password are checked: one file per way, and the one door in front of them (`authenticator`).

A password is a local variable here and nothing else: it stands in no attribute, message, log, command line or
environment. What must ask foreign code (PAM modules, a directory) asks it in a process of its own (`outside`).
"""

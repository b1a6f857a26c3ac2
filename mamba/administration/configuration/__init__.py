"""The configuration of a Tango control system as text files: read, compared, planned, applied and undone.

An *entry* is one thing that the database keeps: a device, an alias, a property, one value of an attribute's
configuration, one polling period. A *snapshot* is a set of entries. A *file* says which entries are wanted, and with
`null` which must go. A *plan* is the list of changes that lead from the database to the file, with a fingerprint of
what it was made for; an *undo* is a plan the other way round.
"""

"""Sealing: what is stored and what travels is unreadable and unforgeable without the right key.

`age` writes and opens the file format; `mailobject` is a stored mail;
`writers` says who may have signed it; `keys` finds public keys and fetches
private ones; `factkeys` seals what travels on the bus.
"""

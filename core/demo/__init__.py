"""The demonstration: everything end to end on one machine, with the embedded CM and Telegram.

`titles` says what is imported, `stage` lays out the folder and the settings, `processes` runs the daemons,
`director` lets things go wrong, `viewer` is the user, `audit` compares, `screen` and `report` show.
"""

"""The demonstration: everything end to end on one machine, with the embedded CM and Telegram.

`titles` says what is imported, `stage` lays out folder and settings, `cast` starts the daemons, `watching` kills
one, `viewer` is the user, `delivering` asks for everything, `audit` compares, `screen` and `report` show.
"""

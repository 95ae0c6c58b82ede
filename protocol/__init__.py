"""What a terminal and the cloud must agree on: messages, and the rules that give them meaning.

Values and pure functions. I/O, clock and randomness are left to the programs, which pass them in.
"""

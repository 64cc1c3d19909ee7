"""Writes a session by Telethon's own code: python3 write_session.py FILE DC HOST PORT <key in hex

FILE.session is the SQLite form; the string form is printed.
"""
import sys

from telethon.crypto import AuthKey
from telethon.sessions import SQLiteSession, StringSession

name, dc, host, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
key = AuthKey(bytes.fromhex(sys.stdin.read().strip()))
for session in (SQLiteSession(name), StringSession()):
    session.set_dc(dc, host, port)
    session.auth_key = key
    text = session.save()
    session.close()
print(text)

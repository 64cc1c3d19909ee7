#!/usr/bin/env python3
"""Makes the session files of this folder: Telethon's by its own code, those of
Pyrogram and its forks by SQLite with their schemas. Needs Telethon 1.x
(Debian: python3-telethon) and is run by hand; what it wrote is committed.

The key is that of vectors.json: byte i is (3*i+1) mod 256.
"""
import os
import shutil
import sqlite3

from telethon.crypto import AuthKey
from telethon.sessions import SQLiteSession, StringSession

KEY = bytes((3 * i + 1) % 256 for i in range(256))
HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    p = os.path.join(HERE, name)
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(p + suffix):
            os.remove(p + suffix)
    return p


def telethon():
    s = SQLiteSession(path("telethon.session"))
    s.set_dc(2, "149.154.167.51", 443)
    s.auth_key = AuthKey(KEY)
    s.save()
    # Rows as its process_entities writes them.
    s._conn.executemany(
        "insert or replace into entities values (?,?,?,?,?,?)",
        [(777000, 111, None, 42777, "Telegram", 1), (-1001234567890, -222, "bigchannel", None, "The big channel", 1),
         (-4321, 0, None, None, "A group", 1)])
    s.save()
    s.close()
    text = StringSession()
    text.set_dc(2, "149.154.167.51", 443)
    text.auth_key = AuthKey(KEY)
    with open(os.path.join(HERE, "telethon.txt"), "w") as f:
        f.write(text.save() + "\n")


def telethon_many():
    """Small pages, many entities with long names, and holes where rows were deleted."""
    c = sqlite3.connect(path("telethon_many.session"))
    c.execute("pragma page_size=512")
    c.executescript("""create table version (version integer primary key);
        create table sessions (dc_id integer primary key, server_address text, port integer, auth_key blob, takeout_id integer);
        create table entities (id integer primary key, hash integer not null, username text, phone integer, name text, date integer);""")
    c.execute("insert into version values (7)")
    for i in range(1, 81):
        name = "n" * (i * 7 % 1300)
        c.execute("insert into entities values (?,?,?,?,?,?)", (i, i * 0x123456789ABC - 2**62, "user%d" % i, None, name, None))
    c.execute("delete from entities where id % 3 = 0")
    c.execute("insert into sessions values (4, '2001:67c:4e8:f004::a', 443, ?, null)", (KEY,))
    c.commit()
    c.close()


def pyrogram_old():
    c = sqlite3.connect(path("pyrogram.session"))
    c.executescript("""create table sessions (dc_id integer primary key, test_mode integer, auth_key blob, date integer not null, user_id integer, is_bot integer);
        create table peers (id integer primary key, access_hash integer, type integer not null, username text, phone_number text,
            last_update_on integer not null default (cast(strftime('%s', 'now') as integer)));
        create table version (number integer primary key);
        create index idx_peers_id on peers (id);""")
    c.execute("insert into sessions values (2, 1, ?, 0, 987654321012, 1)", (KEY,))
    c.execute("alter table sessions add api_id integer")
    c.execute("insert into peers values (-1001234567890, 333, 'channel', 'bigchannel', null, 5)")
    c.commit()
    c.close()


def kurigram_wal():
    """The schema of version 7, in WAL mode, not checkpointed: the row is in the log only."""
    name = path("kurigram.session")
    c = sqlite3.connect(name)
    c.execute("pragma page_size=1024")
    c.execute("pragma journal_mode=wal")
    c.execute("pragma wal_autocheckpoint=0")
    c.executescript("""CREATE TABLE sessions
(
    dc_id          INTEGER PRIMARY KEY,
    server_address TEXT,
    port           INTEGER,
    api_id         INTEGER,
    test_mode      INTEGER,
    auth_key       BLOB,
    date           INTEGER NOT NULL,
    user_id        INTEGER,
    is_bot         INTEGER
);
CREATE TABLE peers (id INTEGER PRIMARY KEY, access_hash INTEGER, type INTEGER NOT NULL, phone_number TEXT, last_update_on INTEGER NOT NULL DEFAULT 0);
CREATE TABLE usernames (id INTEGER, username TEXT, FOREIGN KEY (id) REFERENCES peers(id));
CREATE TABLE version (number INTEGER PRIMARY KEY);""")
    c.execute("pragma wal_checkpoint(truncate)")
    c.execute("INSERT INTO sessions VALUES (2, '149.154.167.51', 443, 12345, 0, ?, 0, 987654321012, 0)", (KEY,))
    c.execute("INSERT INTO peers VALUES (-1001234567890, 444, 'channel', NULL, 0)")
    c.execute("INSERT INTO usernames VALUES (-1001234567890, 'bigchannel')")
    c.commit()
    for suffix in ("", "-wal"):
        shutil.copy(name + suffix, name + suffix + ".copy")
    c.close()
    for suffix in ("", "-wal"):
        os.replace(name + suffix + ".copy", name + suffix)
    if os.path.exists(name + "-shm"):
        os.remove(name + "-shm")


telethon()
telethon_many()
pyrogram_old()
kurigram_wal()

"""Folders of a Linux system that a program needs to run at all. None of them holds anything of a user."""

from __future__ import annotations

LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32")
COMMANDS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/include", "/usr/libexec", "/usr/share", "/usr/local")
"""Only for programs of the kind `command`: compilers, shells and other interpreters."""
CONFIGURATION = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/alternatives", "/etc/localtime")
DEVICES = ("null", "zero", "full", "random", "urandom")
FIRST_UID = 0x30000000
"""User ids from here to 2**24 more belong to nobody: where we are root, each run takes one."""

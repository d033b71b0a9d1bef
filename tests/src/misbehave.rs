//! Misbehaving clients as commands: each aims at any server, and tells what it
//! does and what it sees.

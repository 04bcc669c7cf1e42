//! Closed doors: what strangers, mistakes, faulty peers and broken machines do not bring about.

mod backups;
mod audit;
mod bounds;
mod disk;
mod tokens;
mod walk;
//! Doors that stay closed: what was tried on running nodes as an attacker would, and no longer works.

mod chain;
mod received;
mod bounds;
mod chain;
mod bounds;
mod county;
mod bounds;
mod disk;
mod files;

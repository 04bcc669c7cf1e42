//! Closed doors: what strangers, mistakes, faulty peers and broken machines do not bring about.

mod audit;
mod backups;
mod bounds;
mod chain;
mod county;
mod disk;
mod erasure;
mod files;
mod four_eyes;
mod limited;
mod peer_key;
mod person;
mod proposals;
mod received;
mod tokens;
mod walk;

//! Closed doors: what strangers, mistakes, faulty peers and broken machines do not bring about.

mod bounds;
mod disk;
mod person;
mod received;

//! Closed doors: what strangers, mistakes and broken machines do not bring about.

mod backups;
mod bounds;
mod disk;
mod files;

//! Closed doors: what was tried against running nodes, and does not work.

mod tokens;
mod walk;

//! What is counted and how: pure functions from records to dated facts, and from dated facts to cells.
//!
//! [`catalogue`] reads the indicators, which are data → [`record`] reads fields of records by their numbers →
//! [`joint`] makes of halves what they say together → [`facts`] makes a subject's facts → [`tally`] adds them up per month, day and level of the area → [`period`] says
//! which of them a cell wants.

pub mod catalogue;
pub mod division;
pub mod each;
pub mod facts;
pub mod joint;
pub mod period;
pub mod record;
pub mod restate;
pub mod same;
pub mod tag;
pub mod tally;

#[cfg(test)]
pub(crate) mod testing;

//! The real program from outside: killed, doubled, interrupted, fed with damaged files, and cut off from its database;
//! and the rules that the source itself keeps.
//!
//! Models are a scripted server in the test process ([`model`]), which outlives the program and knows every request that
//! it was ever sent. Each test has a database and a folder of its own ([`site`]).

#![allow(clippy::unwrap_used)]

mod adapters;
mod bad_input;
mod batch_server;
mod batches;
mod bombs;
mod change;
mod contamination;
mod copies;
mod corpus;
mod curves;
mod estimate;
mod faults;
mod full_disk;
mod judging;
mod kill;
mod looking;
mod measuring;
mod model;
mod money;
mod outage;
mod pauses;
mod planning;
mod report;
mod running;
mod sampling;
mod schema_comments;
mod scripted;
mod secrets;
mod simulated;
mod site;
mod tidy;
mod together;
mod training;

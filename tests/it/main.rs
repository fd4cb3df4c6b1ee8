//! The real program from outside: killed, doubled, interrupted, fed with damaged files, and cut off from its database.
//!
//! Models are a scripted server in the test process ([`model`]), which outlives the program and knows every request that
//! it was ever sent. Each test has a database and a folder of its own ([`site`]).

#![allow(clippy::unwrap_used, clippy::doc_markdown)]

mod corpus;
mod kill;
mod model;
mod site;
mod together;

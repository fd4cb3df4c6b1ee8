//! Has cargo build again when a migration is added: the migrations are compiled in.
#![allow(clippy::print_stdout)] // how a build script speaks to cargo

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

//! The `codepmp` program; see the library for its parts.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    codepmp::cli::main()
}

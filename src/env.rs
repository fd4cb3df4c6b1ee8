//! Every environment variable that the program reads, but for the keys that pipeline files name.

/// Log filter, in `tracing`'s syntax.
pub const LOG: &str = "CODEPMP_LOG";
/// The data folder; `--data-dir` overrides it.
pub const DATA_DIR: &str = "CODEPMP_DATA_DIR";
/// A Postgres server to use in place of the embedded cluster.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// A folder with Postgres' `initdb`, `postgres` and `pg_ctl`.
pub const POSTGRES_BIN: &str = "CODEPMP_POSTGRES_BIN";
/// The ONNX Runtime library to use; the name that `ort` and other tools read too.
pub const ORT_LIBRARY: &str = "ORT_DYLIB_PATH";
/// Plugin libraries with further execution providers, separated as in `PATH`.
pub const ORT_PLUGINS: &str = "CODEPMP_ORT_PLUGINS";

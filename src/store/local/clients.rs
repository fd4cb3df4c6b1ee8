//! Who is connected to the server, asked with `psql`.

use std::process::{Command, Stdio};

use secrecy::{ExposeSecret, SecretString};

use super::binaries::Binaries;
use super::location::Location;
use super::{USER, password};

/// How connections of this process are named in `pg_stat_activity`.
pub fn application_name() -> String {
    format!("codepmp/{}", std::process::id())
}

/// Connections of others than this process. Counted with `psql`, since asking through a pool would take an async
/// runtime, which a destructor does not have; without an answer nobody is taken to be there.
pub(super) fn clients(location: &Location, binaries: &Binaries, port: u16) -> u32 {
    let Ok(password) = password::read(location) else {
        return 0;
    };
    let mut command = Command::new(binaries.program("psql"));
    psql_arguments(&mut command, port, "postgres", &password);
    let query = format!(
        "select count(*) from pg_stat_activity where backend_type = 'client backend' \
         and pid <> pg_backend_pid() and application_name <> '{}'",
        application_name()
    );
    command.args(["-X", "-A", "-t", "-c", &query]).stdin(Stdio::null());
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().parse().unwrap_or(0)
}

pub(super) fn psql_arguments(command: &mut Command, port: u16, database: &str, password: &SecretString) {
    command.args(["-h", "127.0.0.1", "-U", USER, "-d", database, "-p"]);
    command.arg(port.to_string());
    command.env("PGPASSWORD", password.expose_secret());
    command.env("PGSSLMODE", "disable");
    command.env("PGCONNECT_TIMEOUT", "5");
}

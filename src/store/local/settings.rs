//! The server's settings, written anew before each start. `ALTER SYSTEM` overrides them.

use std::fmt::Write;
use std::path::Path;

use super::Durability;

/// The file in the data folder that `postgresql.conf` includes.
pub(super) const FILE: &str = "codepmp.conf";

/// The text of the file. `lz4`: whether the server can compress long values with it.
pub(super) fn text(port: u16, socket: Option<&Path>, durability: Durability, lz4: bool) -> String {
    let socket = socket.map(|dir| dir.to_string_lossy().replace('\'', "''"));
    let mut text = format!(
        "# Written before each start. For settings of your own use ALTER SYSTEM.\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = '{}'\n\
         unix_socket_permissions = 0700\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         jit = off\n",
        socket.unwrap_or_default(),
    );
    text.push_str(if lz4 {
        "default_toast_compression = lz4\nwal_compression = lz4\n"
    } else {
        "wal_compression = on\n"
    });
    let rest = match durability {
        Durability::Safe => {
            "max_connections = 100\n\
             shared_buffers = '256MB'\n\
             max_wal_size = '4GB'\n"
        }
        // Many test processes share one server, and nothing in it outlives it. Autovacuum would only
        // hold up the copying of the template database.
        Durability::Throwaway => {
            "max_connections = 400\n\
             shared_buffers = '64MB'\n\
             max_wal_size = '1GB'\n\
             fsync = off\n\
             synchronous_commit = off\n\
             full_page_writes = off\n\
             autovacuum = off\n"
        }
    };
    let _ = text.write_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_server_syncs_and_listens_on_loopback_only() {
        let text = text(20_001, Some(Path::new("/a 'quoted' folder")), Durability::Safe, false);
        assert!(text.contains("listen_addresses = '127.0.0.1'\nport = 20001\n"), "{text}");
        assert!(text.contains("'/a ''quoted'' folder'"), "{text}");
        assert!(!text.contains("fsync") && !text.contains("synchronous_commit"), "{text}");
    }
}

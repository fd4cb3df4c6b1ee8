//! `db`: the embedded database.

use super::output::outln;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use tokio::task::spawn_blocking;

use super::Exit;
use super::args::DbCommand;
use crate::store::local::{Cluster, Durability};
use crate::store::{Store, external_url};

/// `codepmp db`
pub async fn db(command: DbCommand, data_dir: &Path) -> anyhow::Result<Exit> {
    let folder: PathBuf = data_dir.to_owned();
    let external = external_url();
    match (command, external) {
        (DbCommand::Migrate, _) => {
            Store::open(data_dir).await?;
            outln!("the tables are those of version {}", env!("CARGO_PKG_VERSION"));
        }
        (DbCommand::Url, Some(url)) => outln!("{url}"),
        (DbCommand::Url, None) => {
            let cluster = spawn_blocking(move || Cluster::open(&folder, Durability::Safe)).await??;
            outln!("{}", cluster.url("codepmp").expose_secret());
        }
        (DbCommand::Psql { args }, external) => {
            drop(Store::open(data_dir).await?);
            let (mut psql, _cluster) = if let Some(url) = external {
                let mut psql = std::process::Command::new("psql");
                psql.arg(url);
                (psql, None)
            } else {
                let cluster = spawn_blocking(move || Cluster::open(&folder, Durability::Safe)).await??;
                (cluster.psql("codepmp")?, Some(cluster))
            };
            let status = spawn_blocking(move || psql.args(args).status()).await?.context("starting psql")?;
            return Ok(if status.success() { Exit::Done } else { Exit::Failed });
        }
        (DbCommand::Start | DbCommand::Stop { .. }, Some(_)) => {
            bail!("{} names the database: start and stop that server by its own means", crate::env::DATABASE_URL)
        }
        (DbCommand::Start, None) => {
            let port = spawn_blocking(move || Cluster::start_detached(&folder)).await??;
            outln!("Postgres listens on 127.0.0.1:{port}; `codepmp db stop` stops it");
        }
        (DbCommand::Stop { force }, None) => {
            let stopped = spawn_blocking(move || Cluster::stop(&folder, force)).await??;
            outln!("{}", if stopped { "stopped" } else { "it was not running" });
        }
    }
    Ok(Exit::Done)
}

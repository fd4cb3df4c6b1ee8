//! `doctor`: what the program finds on this machine.

use super::output::outln;
use std::path::Path;

use super::Exit;
use crate::runtime::{Device, Library, Runtime, RuntimeError, RuntimeSettings, find_library};
use crate::sandbox::Sandbox;
use crate::store::local::{Binaries, Cluster};
use crate::store::{Store, external_url};
use crate::telemetry::one_line;

/// `codepmp doctor`
pub async fn doctor(data_dir: &Path) -> anyhow::Result<Exit> {
    let mut healthy = true;
    let mut tell = |what: &str, found: Result<String, String>| match found {
        Ok(found) => outln!("ok    {what:<20} {found}"),
        Err(problem) => {
            healthy = false;
            outln!("wrong {what:<20} {problem}");
        }
    };
    tell("codepmp", Ok(env!("CARGO_PKG_VERSION").to_owned()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tell("cores", Ok(cores.to_string()));
    tell("data folder", Ok(std::path::absolute(data_dir)?.display().to_string()));
    if external_url().is_some() {
        tell("database", Ok(format!("the server that {} names", crate::env::DATABASE_URL)));
    } else {
        let binaries = Binaries::find(None);
        tell(
            "Postgres",
            binaries.map(|found| found.program("postgres").display().to_string()).map_err(|e| e.to_string()),
        );
        let place = Cluster::locate(data_dir).map(|location| location.data().display().to_string());
        tell("cluster", place.map_err(|error| error.to_string()));
    }
    // Only training needs it.
    let library = find_library(data_dir);
    tell(
        "ONNX Runtime",
        library
            .as_ref()
            .map(|found| format!("{} at {}", found.version, found.path.display()))
            .map_err(ToString::to_string),
    );
    // Only answers that are code need it.
    tell("sandbox", Sandbox::find().await.map(|found| found.found()).map_err(|error| error.to_string()));
    if let Ok(library) = library {
        tell("devices", devices(library).map_err(|error| error.to_string()));
    }
    let version = async {
        let store = Store::open(data_dir).await?;
        let version: String = store.server_version().await?;
        anyhow::Ok(version)
    };
    tell("connection", version.await.map_err(|error| one_line(&error)));
    Ok(if healthy { Exit::Done } else { Exit::Failed })
}

/// What `--device` may name with this library, and the providers behind it.
fn devices(library: Library) -> Result<String, RuntimeError> {
    let settings = RuntimeSettings { device: Device::Cpu, threads: Some(1), library };
    let providers = Runtime::open(&settings)?.providers()?;
    let shown = providers.iter().map(|name| match Device::PROVIDERS.iter().find(|(_, other)| other == name) {
        Some((short, _)) => format!("{short} ({name})"),
        None => format!("{name}, which is not used here"),
    });
    Ok(shown.collect::<Vec<_>>().join(", "))
}

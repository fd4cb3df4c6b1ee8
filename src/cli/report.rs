//! `report`: a run as one page.

use super::Exit;
use super::args::ReportArgs;
use super::output::outln;
use super::pipeline::run_of;
use crate::report;
use crate::store::Store;

/// `codepmp report`
pub async fn report(store: &Store, args: &ReportArgs) -> anyhow::Result<Exit> {
    let run = match &args.source {
        Some(source) => run_of(store, source).await?,
        None => store.run(None).await?,
    };
    let report = report::gather(store, run.id).await?;
    report::write(&report, &args.out)?;
    outln!("run {} ({}): {}", run.id, run.pipeline, args.out.join("report.html").display());
    Ok(Exit::Done)
}

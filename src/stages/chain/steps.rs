//! What happens to one document: measured and cut in parallel, judged in order.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::corpus::{self, Document, Provenance, Signals};
use crate::dedupe::{ContentHash, Index, Sketch, Sketcher, Verdict};
use crate::engine::Context;
use crate::ids::{DocumentId, ShardId, StageId};
use crate::python::{Parser, Snippet};
use crate::stages::AnyStage;
use crate::stages::filter::{Filter, Measured};
use crate::stages::parse::ParseSettings;
use crate::store::chain::{ChainBatch, NewDocument, Rejection, StoredDocument};

/// A step of the chain, with what it needs on any thread.
enum Step {
    Filter(Filter),
    Dedupe(Sketcher),
    Parse(ParseSettings),
}

/// What a step found in a document by itself.
enum Finding {
    Objection(&'static str, String),
    Passed,
    Sketch(Sketch),
    Snippets { snippets: Vec<Snippet>, outside: u32 },
}

/// The steps of a chain from one stage on, and the state of those that have any.
pub struct Steps {
    work: Arc<Vec<(StageId, Step)>>,
    indexes: Vec<Option<Index>>,
    meters: Vec<Arc<crate::progress::Meter>>,
}

/// A document as read, with its shard and where that comes from.
pub type NewText = (ShardId, Arc<Provenance>, Document);

/// A document with everything that could be found out without knowing the others.
pub struct Worked {
    id: Option<DocumentId>,
    path: String,
    hash: ContentHash,
    findings: Vec<Finding>,
    /// Set where the document is new.
    pub new: Option<NewDocument>,
}

impl Worked {
    /// Gives a new document its identifier.
    pub fn number(&mut self, id: DocumentId) {
        self.id = Some(id);
        if let Some(new) = &mut self.new {
            new.id = id;
        }
    }
}

/// Sketches read at once while an index is rebuilt.
const SKETCH_PAGE: i64 = 20_000;

impl Steps {
    /// The steps from position `first` of the chain on; the index of what was kept before is rebuilt.
    pub async fn open(context: &Context<AnyStage>, first: usize) -> anyhow::Result<Self> {
        let (mut work, mut indexes) = (Vec::new(), Vec::new());
        for (planned, &id) in context.group.iter().zip(&context.ids).skip(first) {
            let (step, index) = match &planned.stage {
                AnyStage::Filter(filter) => (Step::Filter(filter.clone()), None),
                AnyStage::Dedupe(dedupe) => {
                    let index = rebuild(context, id, &dedupe.settings).await?;
                    (Step::Dedupe(Sketcher::new(&dedupe.settings)?), Some(index))
                }
                AnyStage::Parse(parse) => (Step::Parse(parse.settings.clone()), None),
                _ => anyhow::bail!("a bug: stage `{}` cannot be part of a chain", planned.name),
            };
            work.push((id, step));
            indexes.push(index);
        }
        Ok(Self { work: Arc::new(work), indexes, meters: context.meters[first..].to_vec() })
    }

    /// The steps' stages, all at one position.
    pub fn positions_at(&self, position: DocumentId) -> Vec<(StageId, DocumentId)> {
        self.work.iter().map(|(id, _)| (*id, position)).collect()
    }

    /// The function that works on new documents, for any thread.
    pub fn worker(&self) -> impl Fn(Vec<NewText>) -> Vec<Worked> + Clone + Send + 'static {
        let work = Arc::clone(&self.work);
        move |documents| {
            let mut parser = Parser::new();
            let documents = documents.into_iter();
            documents.map(|(shard, origin, document)| work_new(&work, &mut parser, shard, &origin, document)).collect()
        }
    }

    /// Works on documents that are in the database.
    pub async fn work_stored(&self, documents: Vec<StoredDocument>) -> anyhow::Result<Vec<Worked>> {
        let work = Arc::clone(&self.work);
        spawn_blocking(move || {
            let mut parser = Parser::new();
            documents.into_iter().map(|document| work_stored(&work, &mut parser, document)).collect()
        })
        .await
        .context("a bug: the work on a document ended early")
    }

    /// Judges a document in its turn, adding what it leads to; it must have its number.
    pub fn take(&mut self, worked: Worked, batch: &mut ChainBatch) -> anyhow::Result<()> {
        let id = worked.id.context("a bug: a document without a number")?;
        batch.documents.extend(worked.new);
        let reject = |stage, class: &str, message, kept| Rejection {
            stage: Some(stage),
            document: Some(id),
            path: worked.path.clone(),
            class: class.to_owned(),
            message,
            kept,
            ..Rejection::default()
        };
        let steps = self.work.iter().zip(&mut self.indexes).zip(&self.meters);
        for ((((stage, _), index), meter), finding) in steps.zip(worked.findings) {
            match (finding, index) {
                (Finding::Passed, _) => meter.add_done(1),
                (Finding::Objection(class, message), _) => {
                    batch.rejections.push(reject(*stage, class, message, None));
                    meter.add_rejected(1);
                    break;
                }
                (Finding::Sketch(sketch), Some(index)) => {
                    let (class, kept, similarity) = match index.offer(id.0, worked.hash, &sketch) {
                        Verdict::Kept => {
                            batch.sketches.push((*stage, id, sketch.to_bytes()));
                            meter.add_done(1);
                            continue;
                        }
                        Verdict::Exact { kept } => ("exact_duplicate", DocumentId(kept), 1.0),
                        Verdict::Near { kept, similarity } => ("near_duplicate", DocumentId(kept), similarity),
                    };
                    let message = format!("a copy of document {kept}, which was kept (similarity {similarity:.3})");
                    batch.rejections.push(reject(*stage, class, message, Some((kept, similarity))));
                    meter.add_rejected(1);
                    break;
                }
                (Finding::Sketch(_), None) => anyhow::bail!("a bug: a sketch without an index"),
                (Finding::Snippets { snippets, outside }, _) => {
                    if outside > 0 {
                        let message = format!("{outside} parts lie outside the limits of the parse stage");
                        batch.rejections.push(reject(*stage, "outside_limits", message, None));
                    }
                    for (ordinal, snippet) in (0..).zip(snippets) {
                        if let Some(fault) = &snippet.fault {
                            let message = format!(
                                "{}: line {}, column {}: {}",
                                snippet.qualified_name, fault.line, fault.column, fault.message
                            );
                            batch.rejections.push(reject(*stage, "syntax_error", message, None));
                            meter.add_rejected(1);
                        } else {
                            batch.snippets.push((*stage, id, ordinal, snippet));
                            meter.add_done(1);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

async fn rebuild(
    context: &Context<AnyStage>,
    stage: StageId,
    settings: &crate::dedupe::Settings,
) -> anyhow::Result<Index> {
    let mut index = Index::new(settings)?;
    let mut after = DocumentId(0);
    loop {
        let page = context.store.sketches(stage, after, SKETCH_PAGE).await?;
        let Some((last, ..)) = page.last() else { return Ok(index) };
        after = *last;
        for (id, hash, sketch) in page {
            let hash: [u8; 16] = hash.try_into().ok().context("documents.content_hash is damaged")?;
            let sketch = Sketch::from_bytes(&sketch).context("table sketches is damaged")?;
            index.insert_kept(id.0, ContentHash::from_bytes(hash), &sketch)?;
        }
    }
}

fn work_new(
    work: &[(StageId, Step)],
    parser: &mut Parser,
    shard: ShardId,
    provenance: &Provenance,
    document: Document,
) -> Worked {
    let signals = corpus::signals(&document.content);
    let hash = ContentHash::of(&document.content);
    let parsed = parser.parse(&document.content);
    let parse_errors = parsed.errors();
    let provenance = document.provenance.clone().unwrap_or_else(|| provenance.clone());
    let measured = Measured {
        signals: &signals,
        generated: signals.generated,
        parse_errors,
        licence: provenance.licence.as_deref(),
    };
    let findings = find(work, &document.content, measured, |settings| {
        let snippets = parsed.snippets(&document.content, &settings.units, &settings.limits);
        let outside = parsed.outside(&document.content, &settings.units, &settings.limits);
        Finding::Snippets { snippets, outside }
    });
    Worked {
        id: None,
        path: document.path.clone(),
        hash,
        findings,
        new: Some(NewDocument {
            id: DocumentId(0),
            shard,
            provenance,
            content_hash: hash.to_bytes(),
            signals,
            parse_errors,
            document,
        }),
    }
}

fn work_stored(work: &[(StageId, Step)], parser: &mut Parser, document: StoredDocument) -> Worked {
    let signals = Signals {
        bytes: document.bytes as u64,
        lines: document.lines as u64,
        longest_line: document.longest_line as u64,
        mean_line: document.mean_line,
        alphanumeric_share: document.alphanumeric_share,
        comment_share: document.comment_share,
        generated: None,
    };
    let measured = Measured {
        signals: &signals,
        generated: document.generated.as_deref(),
        parse_errors: document.parse_errors as u32,
        licence: document.licence.as_deref(),
    };
    let findings = find(work, &document.content, measured, |settings| {
        let parsed = parser.parse(&document.content);
        let snippets = parsed.snippets(&document.content, &settings.units, &settings.limits);
        let outside = parsed.outside(&document.content, &settings.units, &settings.limits);
        Finding::Snippets { snippets, outside }
    });
    Worked { id: Some(document.id), path: document.path, hash: ContentHash::of(&document.content), findings, new: None }
}

/// What each step finds, up to the first objection.
fn find(
    work: &[(StageId, Step)],
    content: &str,
    measured: Measured<'_>,
    mut cut: impl FnMut(&ParseSettings) -> Finding,
) -> Vec<Finding> {
    let mut findings = Vec::with_capacity(work.len());
    for (_, step) in work {
        findings.push(match step {
            Step::Filter(filter) => match filter.objection(measured) {
                Some((class, message)) => {
                    findings.push(Finding::Objection(class, message));
                    break;
                }
                None => Finding::Passed,
            },
            Step::Dedupe(sketcher) => Finding::Sketch(sketcher.sketch(content)),
            Step::Parse(settings) => cut(settings),
        });
    }
    findings
}

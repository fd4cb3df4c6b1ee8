//! What happens to one document: measured and cut in parallel, judged in order.
//!
//! Where exact copies are dropped before documents are cut, a text that was read before is not parsed again: how many
//! syntax errors it has is known by its turn, and if it stays after all (its first copy had another licence, say), it
//! is cut then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::corpus::{self, Document, Provenance, Signals};
use crate::dedupe::{ContentHash, Index, Sketch, Sketcher, Verdict};
use crate::engine::Context;
use crate::ids::{DocumentId, ShardId, StageId};
use crate::python::{Parsed, Parser, Snippet, layout};
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
    Snippets {
        snippets: Vec<Snippet>,
        outside: u32,
    },
    /// To be found in the document's turn.
    Open,
}

/// A document as read, on its way to a thread.
pub struct Fresh {
    /// Its shard.
    pub shard: ShardId,
    /// Its shard's provenance.
    pub provenance: Arc<Provenance>,
    /// The document.
    pub document: Document,
    /// Hash of its content.
    pub hash: ContentHash,
    /// Whether the same content came earlier in this run.
    pub repeated: bool,
}

thread_local! {
    /// Parsers keep the memory that they grew into.
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
}

/// The steps of a chain from one stage on, and the state of those that have any.
pub struct Steps {
    work: Arc<Vec<(StageId, Step)>>,
    indexes: Vec<Option<Index>>,
    meters: Vec<Arc<crate::progress::Meter>>,
    /// Syntax errors of the contents that have any, for their copies.
    flawed: HashMap<ContentHash, u32>,
}

/// A document with everything that could be found out without knowing the others.
pub struct Worked {
    id: Option<DocumentId>,
    path: String,
    hash: ContentHash,
    findings: Vec<Finding>,
    repeated: bool,
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
        let meters = context.meters[first..].to_vec();
        Ok(Self { work: Arc::new(work), indexes, meters, flawed: HashMap::new() })
    }

    /// The steps' stages, all at one position.
    pub fn positions_at(&self, position: DocumentId) -> Vec<(StageId, DocumentId)> {
        self.work.iter().map(|(id, _)| (*id, position)).collect()
    }

    /// The function that works on new documents, for any thread.
    pub fn worker(&self) -> impl Fn(Vec<Fresh>) -> Vec<Worked> + Send + 'static {
        let work = Arc::clone(&self.work);
        let cut_at = work.iter().position(|(_, step)| matches!(step, Step::Parse(_))).unwrap_or(work.len());
        let spares = work[..cut_at].iter().any(|(_, step)| matches!(step, Step::Dedupe(_)));
        move |documents| {
            PARSER.with_borrow_mut(|parser| {
                let work_on = |fresh: Fresh| {
                    if spares && fresh.repeated { repeat(&work, fresh) } else { work_new(&work, parser, fresh) }
                };
                documents.into_iter().map(work_on).collect()
            })
        }
    }

    /// Works on documents that are in the database.
    pub async fn work_stored(&self, documents: Vec<StoredDocument>) -> anyhow::Result<Vec<Worked>> {
        let work = Arc::clone(&self.work);
        spawn_blocking(move || {
            PARSER.with_borrow_mut(|parser| {
                documents.into_iter().map(|document| work_stored(&work, parser, document)).collect()
            })
        })
        .await
        .context("a bug: the work on a document ended early")
    }

    /// Judges a document in its turn, adding what it leads to; it must have its number.
    pub fn take(&mut self, worked: Worked, batch: &mut ChainBatch) -> anyhow::Result<()> {
        let id = worked.id.context("a bug: a document without a number")?;
        let mut new = worked.new;
        match &mut new {
            Some(new) if worked.repeated => new.parse_errors = self.flawed.get(&worked.hash).copied().unwrap_or(0),
            Some(new) if new.parse_errors > 0 => {
                self.flawed.insert(worked.hash, new.parse_errors);
            }
            _ => {}
        }
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
        for ((((stage, step), index), meter), finding) in steps.zip(worked.findings) {
            let finding = match (finding, &new) {
                (Finding::Open, Some(new)) => step.find(new)?,
                (finding, _) => finding,
            };
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
                (Finding::Open, _) => anyhow::bail!("a bug: a stored document that was not worked on"),
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
        batch.documents.extend(new);
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

impl Step {
    /// What the step finds in a document by itself, outside the threads.
    fn find(&self, new: &NewDocument) -> anyhow::Result<Finding> {
        let content = &new.document.content;
        Ok(match self {
            Self::Filter(filter) => filter.finding(measured(new)),
            Self::Parse(settings) => PARSER.with_borrow_mut(|parser| cut(&parser.parse(content), content, settings)),
            Self::Dedupe(_) => anyhow::bail!("a bug: a document without a sketch"),
        })
    }
}

impl Filter {
    fn finding(&self, measured: Measured<'_>) -> Finding {
        self.objection(measured).map_or(Finding::Passed, |(class, message)| Finding::Objection(class, message))
    }
}

fn measured(new: &NewDocument) -> Measured<'_> {
    Measured {
        signals: &new.signals,
        generated: new.signals.generated,
        parse_errors: new.parse_errors,
        licence: new.provenance.licence.as_deref(),
    }
}

fn cut(parsed: &Parsed, content: &str, settings: &ParseSettings) -> Finding {
    let snippets = parsed.snippets(content, &settings.units, &settings.limits);
    let outside = parsed.outside(content, &settings.units, &settings.limits);
    Finding::Snippets { snippets, outside }
}

impl Fresh {
    fn measure(self, parse_errors: u32, comment_bytes: usize) -> NewDocument {
        let provenance = self.document.provenance.clone().unwrap_or_else(|| (*self.provenance).clone());
        NewDocument {
            id: DocumentId(0),
            shard: self.shard,
            provenance,
            content_hash: self.hash.to_bytes(),
            signals: corpus::signals(&self.document.content, comment_bytes),
            parse_errors,
            document: self.document,
        }
    }
}

impl Worked {
    fn new(new: NewDocument, hash: ContentHash, findings: Vec<Finding>, repeated: bool) -> Self {
        Self { id: None, path: new.document.path.clone(), hash, findings, repeated, new: Some(new) }
    }
}

fn work_new(work: &[(StageId, Step)], parser: &mut Parser, fresh: Fresh) -> Worked {
    let (hash, parsed) = (fresh.hash, parser.parse(&fresh.document.content));
    let new = fresh.measure(parsed.errors(), parsed.comment_bytes());
    let content = &new.document.content;
    let findings = find(work, content, measured(&new), |settings| cut(&parsed, content, settings));
    Worked::new(new, hash, findings, false)
}

/// A copy is sketched all the same: where the first one was a near copy of a third, no index knows its hash.
fn repeat(work: &[(StageId, Step)], fresh: Fresh) -> Worked {
    let hash = fresh.hash;
    let comment_bytes = layout(&fresh.document.content).comment_bytes;
    let new = fresh.measure(0, comment_bytes);
    let findings = work.iter().map(|(_, step)| match step {
        Step::Dedupe(sketcher) => Finding::Sketch(sketcher.sketch(&new.document.content)),
        Step::Filter(_) | Step::Parse(_) => Finding::Open,
    });
    let findings = findings.collect();
    Worked::new(new, hash, findings, true)
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
        cut(&parser.parse(&document.content), &document.content, settings)
    });
    let hash = ContentHash::of(&document.content);
    Worked { id: Some(document.id), path: document.path, hash, findings, repeated: false, new: None }
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
            Step::Filter(filter) => match filter.finding(measured) {
                objection @ Finding::Objection(..) => {
                    findings.push(objection);
                    break;
                }
                passed => passed,
            },
            Step::Dedupe(sketcher) => Finding::Sketch(sketcher.sketch(content)),
            Step::Parse(settings) => cut(settings),
        });
    }
    findings
}

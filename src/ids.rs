//! Identifiers of rows. Each is a newtype, so that a snippet's id cannot stand where a document's is meant.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One start of `codepmp run`.
    RunId
);
id!(
    /// A stage as its fingerprint identifies it; rows carry it.
    StageId
);
id!(
    /// One archive, JSONL file or folder of an ingest stage.
    ShardId
);
id!(
    /// One source file.
    DocumentId
);
id!(
    /// One function, method, class or module of a document.
    SnippetId
);
id!(
    /// One description of a snippet.
    DescriptionId
);
id!(
    /// One answer to a description.
    CompletionId
);
id!(
    /// One preference pair.
    PairId
);
id!(
    /// One call to a model, successful or not.
    CallId
);
id!(
    /// One process that claims rows.
    WorkerId
);
id!(
    /// One file of requests, sent away as a batch.
    BatchId
);
id!(
    /// One model that is trained.
    TrainingRunId
);
id!(
    /// One time that a model scored a set of items.
    ScoringId
);

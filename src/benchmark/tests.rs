//! Every format's sample is read as it should be, and what is not as its format says is told with file, line and field.

use std::path::PathBuf;

use super::*;
use crate::benchmark::{Answering, CodeTest, attach, detect};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/benchmarks").join(name)
}

fn load(name: &str) -> Benchmark {
    read(&fixture(name), None).unwrap()
}

#[test]
fn every_format_is_told_from_its_first_row() {
    let files = [
        ("pairs.jsonl", Format::Pairs, 2),
        ("options.jsonl", Format::Options, 2),
        ("samples.jsonl", Format::Samples, 3),
        ("questions.jsonl", Format::Questions, 2),
        ("gsm8k.jsonl", Format::Gsm8k, 2),
        ("math-500.jsonl", Format::Math, 1),
        ("math-train-1.json", Format::Math, 1),
        ("math-shepherd.jsonl", Format::MathShepherd, 2),
        ("reclor.json", Format::Reclor, 2),
        ("logiqa2.txt", Format::Logiqa2, 1),
        ("code-ultra-feedback.jsonl", Format::CodeUltraFeedback, 1),
        ("code-ultra-feedback-binarized.jsonl", Format::CodeUltraFeedback, 1),
        ("humaneval.jsonl.gz", Format::HumanEval, 1),
        ("mbpp.jsonl", Format::Mbpp, 1),
        ("mbpp-sanitized.json", Format::Mbpp, 1),
        ("reward-bench-2.jsonl", Format::RewardBench2, 4),
    ];
    for (name, format, items) in files {
        let found = load(name);
        assert_eq!((found.format, found.items.len()), (format, items), "{name}");
        assert_eq!(found.format.name().parse::<Format>().unwrap(), format);
        assert_eq!(detect(&fixture(name)).unwrap(), Some(format), "{name}");
        assert_eq!(read(&fixture(name), Some(format)).unwrap().mark(), found.mark(), "{name}");
    }
}

#[test]
fn questions_have_their_answers() {
    let gold = |name: &str| -> Vec<(String, Answering)> {
        let items = load(name).items.into_iter();
        let gold = |item: Item| match item.task {
            Task::Answer { gold, answering } => (gold, answering),
            other => panic!("{other:?}"),
        };
        items.map(gold).collect()
    };
    assert_eq!(gold("gsm8k.jsonl"), [("72".into(), Answering::Number), ("1,000".into(), Answering::Number)]);
    assert_eq!(gold("math-500.jsonl"), [("\\frac{1}{6}".into(), Answering::Math)]);
    assert_eq!(gold("math-train-1.json"), [("\\pm 3".into(), Answering::Math)]);
    let item = load("math-500.jsonl").items.remove(0);
    assert_eq!((item.key.as_str(), item.subset.as_str()), ("test/prealgebra/1.json", "Prealgebra"));
}

#[test]
fn choices_have_their_right_option_and_stand_for_pairs() {
    let reclor = load("reclor.json").items.remove(1);
    assert_eq!(reclor.key, "train_1");
    assert_eq!(reclor.prompt, "If it rains the match is off. The match was played.\n\nWhat must be true?\n");
    let pairs = reclor.pairs();
    assert_eq!(pairs.len(), 3);
    assert!(pairs.iter().all(|(chosen, rejected)| *chosen == "It did not rain." && chosen != rejected));
    let logiqa = load("logiqa2.txt").items.remove(0);
    assert!(matches!(&logiqa.task, Task::Choice { answer: 3, options } if options.len() == 4), "{logiqa:?}");
    let options = load("options.jsonl");
    assert!(matches!(&options.items[1].task, Task::Choice { answer: 0, .. }));
}

#[test]
fn solutions_become_pairs_of_one_problem_and_the_rest_is_counted() {
    let found = load("math-shepherd.jsonl");
    let pair = |at: usize| match &found.items[at].task {
        Task::Pair { chosen, rejected } => (chosen.as_str(), rejected.as_str()),
        other => panic!("{other:?}"),
    };
    assert_eq!(found.items[0].prompt, "Tom has 5 pens and gives 2 away. How many pens has he?\n");
    let (chosen, rejected) = pair(0);
    assert_eq!(chosen, "Step 1: He gives 2 away.\nStep 2: 5 - 2 = 3. The answer is: 3");
    assert!(rejected.ends_with("The answer is: 7"));
    assert_eq!(pair(1), ("Step 1: 7 times 7 is 49. The answer is: 49", "Step 1: 7 plus 7 is 14. The answer is: 14"));
    let left: Vec<_> = found.left_out.iter().map(|row| (row.place.line, row.reason)).collect();
    assert_eq!(left, [(4, "a wrong step before a right end"), (6, "no right solution to compare with")]);
}

#[test]
fn ratings_become_pairs_of_the_best_and_the_worst() {
    let found = load("code-ultra-feedback.jsonl");
    let Task::Pair { chosen, rejected } = &found.items[0].task else { panic!() };
    assert!(chosen.starts_with("def double") && rejected == "pass");
    assert_eq!(found.items[0].subset, "readability");
    let reasons: Vec<_> = found.left_out.iter().map(|row| row.reason).collect();
    assert_eq!(reasons, ["all responses have one rating", "no response has a rating"]);
}

#[test]
fn code_questions_have_their_tests_and_show_those_of_mbpp() {
    let human = load("humaneval.jsonl.gz").items.remove(0);
    assert!(matches!(&human.task, Task::Code(CodeTest::HumanEval { entry_point, .. }) if entry_point == "double"));
    let mbpp = load("mbpp-sanitized.json").items.remove(0);
    assert!(mbpp.prompt.contains("assert math.isclose(root(9), 3)"), "{}", mbpp.prompt);
    assert!(
        matches!(&mbpp.task, Task::Code(CodeTest::Mbpp { setup, tests, entry_point }) if setup == "import math" && tests.len() == 1
            && entry_point.as_deref() == Some("root"))
    );
}

#[test]
fn rankings_have_right_answers_before_wrong_ones() {
    let tied = load("reward-bench-2.jsonl").items.remove(3);
    assert_eq!(tied.texts(), ["Red", "Green", "Blue", "Pink", "Brown", "Black"]);
    assert_eq!((tied.key.as_str(), tied.subset.as_str(), tied.pairs().len()), ("tied:1", "Ties", 9));
}

#[test]
fn samples_come_to_their_questions_and_must_come_to_all() {
    let mut found = load("gsm8k.jsonl");
    let bare = found.mark();
    attach(&mut found, &fixture("gsm8k-samples.jsonl")).unwrap();
    assert_eq!(found.items.iter().map(|item| item.samples.len()).collect::<Vec<_>>(), [2, 2]);
    assert_ne!(found.mark(), bare);
    let mut human = load("humaneval.jsonl.gz");
    attach(&mut human, &fixture("humaneval-samples.jsonl")).unwrap();
    assert_eq!(human.items[0].samples.len(), 4);
    let said = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.jsonl");
        std::fs::write(&path, text).unwrap();
        attach(&mut load("gsm8k.jsonl"), &path).unwrap_err().to_string()
    };
    assert!(said("{\"id\": 0, \"samples\": [\"a\"]}").contains("no sample for the question `1`"));
    let unknown = said("{\"id\": 0, \"sample\": \"a\"}\n{\"id\": 9, \"sample\": \"a\"}");
    assert!(unknown.contains("s.jsonl:2: field `id` is `9`, which"), "{unknown}");
    assert!(said("{\"id\": 0}").contains("s.jsonl:1: field `samples` is missing"));
}

#[test]
fn a_field_that_is_not_as_its_format_says_is_told_with_file_line_and_field() {
    let said = |format: Format, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path, Some(format)).unwrap_err().to_string()
    };
    let good = "{\"question\": \"q\", \"answer\": \"#### 1\"}\n";
    let cases = [
        (Format::Gsm8k, format!("{good}{{\"question\": \"q\", \"answer\": \"1\"}}"), "x.jsonl:2: field `answer` has no `#### `"),
        (Format::Gsm8k, format!("{good}{{\"answer\": \"#### 1\"}}"), "x.jsonl:2: field `question` is missing"),
        (Format::Math, "{\"problem\": \"p\", \"solution\": \"5\"}".into(), "x.jsonl:1: field `solution` has no \\boxed"),
        (Format::Math, "{\"problem\": 5, \"answer\": \"5\"}".into(), "field `problem` is a number, but must be a text"),
        (
            Format::Reclor,
            "{\"context\": \"c\", \"question\": \"q\", \"answers\": [\"a\"]}".into(),
            "field `label` is missing; it must be the place of the right answer; ReClor's test.json has none",
        ),
        (
            Format::Logiqa2,
            "{\"text\": \"c\", \"question\": \"q\", \"options\": [\"a\"], \"answer\": 4}".into(),
            "field `answer` is 4, but there are 1 options",
        ),
        (
            Format::Options,
            "{\"prompt\": \"p\", \"options\": [\"a\", 5], \"answer\": 0}".into(),
            "field `options[1]` is a number, but must be a text",
        ),
        (
            Format::MathShepherd,
            "{\"input\": \"q Step 1: a \u{43a}\u{438}\", \"label\": \"q Step 1: a ?\", \"task\": \"GSM8K\"}".into(),
            "field `label` has neither + nor - behind step 1",
        ),
        (
            Format::CodeUltraFeedback,
            "{\"instruction\": \"i\", \"responses\": [], \"annotations\": [{\"model\": \"m\", \"rating\": \"good\"}]}".into(),
            "field `annotations[0].rating` must be a whole number or N/A",
        ),
        (Format::Mbpp, "{\"task_id\": 1, \"text\": \"t\", \"test_list\": []}".into(), "field `test_list` is empty"),
        (
            Format::RewardBench2,
            "{\"id\": \"1\", \"prompt\": \"p\", \"chosen\": [\"a\", \"b\"], \"rejected\": [\"c\"], \"subset\": \"Math\"}".into(),
            "field `chosen` has 2 answers; all subsets but Ties have one",
        ),
        (
            Format::RewardBench2,
            "{\"id\": \"1\", \"prompt\": \"p\", \"chosen\": [\"a\"], \"rejected\": [\"c\"], \"subset\": \"Math\", \"num_correct\": 2}"
                .into(),
            "field `num_correct` is 2, but the row has 1",
        ),
    ];
    for (format, text, says) in cases {
        let found = said(format, &text);
        assert!(found.contains(says), "{format}: not {says:?} in {found}");
    }
}

#[test]
fn the_same_rows_come_out_of_lists_lines_compressed_files_folders_and_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let lines = std::fs::read_to_string(fixture("reward-bench-2.jsonl")).unwrap();
    let list = format!("[{}]", lines.trim().replace('\n', ",\n"));
    let zst = zstd::encode_all(lines.as_bytes(), 1).unwrap();
    let write = |name: &str, data: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, data).unwrap();
        path
    };
    let expected = load("reward-bench-2.jsonl");
    for path in [write("a.json", list.as_bytes()), write("b.jsonl.zst", &zst)] {
        assert_eq!(read(&path, None).unwrap().items, expected.items, "{}", path.display());
    }
    let (first, second) = lines.split_at(lines.find("\n{\"id\": \"ref").unwrap() + 1);
    write("parts/1/a.jsonl", first.as_bytes());
    write("parts/2/b.jsonl", second.as_bytes());
    write("parts/README.txt", b"notes");
    assert_eq!(read(&folder.path().join("parts"), None).unwrap().items, expected.items);
    let path = folder.path().join("c.parquet");
    parquet_of(&path, &expected);
    let found = read(&path, None).unwrap();
    assert_eq!((found.format, &found.items), (Format::RewardBench2, &expected.items));
    assert!(read(&write("x.csv", b"a,b"), None).unwrap_err().to_string().contains("is not one of .jsonl"));
    assert!(read(&write("e.jsonl", b"\n"), None).unwrap_err().to_string().contains("holds no rows"));
}

/// Rows of RewardBench 2 as a Parquet file with lists.
fn parquet_of(path: &std::path::Path, benchmark: &Benchmark) {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message rows {
        required binary id (utf8); required binary prompt (utf8);
        required group chosen (list) { repeated group list { required binary element (utf8); } }
        required group rejected (list) { repeated group list { required binary element (utf8); } }
        required binary subset (utf8); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, WriterProperties::builder().build().into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let sides = |item: &Item, right: bool| match &item.task {
        Task::Ranking { correct, wrong } => {
            if right {
                correct.clone()
            } else {
                wrong.clone()
            }
        }
        other => panic!("{other:?}"),
    };
    for column in 0..5 {
        let rows: Vec<Vec<String>> = (benchmark.items.iter())
            .map(|item| match column {
                0 => vec![item.key.clone()],
                1 => vec![item.prompt.clone()],
                2 | 3 => sides(item, column == 2),
                _ => vec![item.subset.clone()],
            })
            .collect();
        let values: Vec<ByteArray> = rows.iter().flatten().map(|text| text.as_str().into()).collect();
        let repeated: Vec<i16> = rows.iter().flat_map(|row| (0..row.len()).map(|at| i16::from(at > 0))).collect();
        let mut next = group.next_column().unwrap().unwrap();
        let list = matches!(column, 2 | 3);
        let defined = vec![1; values.len()];
        let typed = next.typed::<ByteArrayType>();
        if list {
            typed.write_batch(&values, Some(&defined), Some(&repeated)).unwrap();
        } else {
            typed.write_batch(&values, None, None).unwrap();
        }
        next.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

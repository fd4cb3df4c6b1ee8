//! Input that is far larger than it looks: it is refused in little memory, and everything beside it is read.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::corpus::module;
use crate::model::{ModelServer, well};
use crate::site::{Site, finish, pipeline};

/// What a bomb must hold to be taken for one, and a little more.
const BOMB_BYTES: u64 = (1 << 30) + (64 << 20);
/// Largest resident set that reading may lead to.
const MEMORY_BYTES: u64 = 300 << 20;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// So many bytes of one kind, packed: the same member over and over, since a stream may have many.
fn packed(byte: u8, bytes: u64) -> Vec<u8> {
    const PIECE: u64 = 32 << 20;
    gzip(&vec![byte; PIECE as usize]).repeat(bytes.div_ceil(PIECE) as usize)
}

fn tar_header(name: &str, bytes: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_size(bytes);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn tar_member(name: &str, text: &str) -> Vec<u8> {
    let mut member = [tar_header(name, text.len() as u64), text.as_bytes().to_vec()].concat();
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

/// A zip archive of a good file and of so many copies of one that is a megabyte of spaces.
fn zip_bomb(good: &str, copies: u64) -> Vec<u8> {
    let options = zip::write::SimpleFileOptions::default();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("spaces.py", options).unwrap();
    writer.write_all(&vec![b' '; 1_000_000]).unwrap();
    let mut one = zip::ZipArchive::new(writer.finish().unwrap()).unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("good.py", options).unwrap();
    writer.write_all(good.as_bytes()).unwrap();
    for copy in 0..copies {
        writer.raw_copy_file_rename(one.by_index(0).unwrap(), format!("spaces{copy}.py")).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_endless_lines_are_refused_in_little_memory_and_the_rest_is_read() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    let good: Vec<String> = (0..6).map(|seed| module(8100 + seed, 2)).collect();

    // Before the zeros everything is read; what follows them cannot be reached.
    let zeros = 2 * BOMB_BYTES;
    site.write(
        "archives/bomb-1.tar.gz",
        [
            gzip(&[tar_member("bomb-1/before.py", &good[0]), tar_header("bomb-1/zeros.bin", zeros)].concat()),
            packed(0, zeros),
            gzip(&[tar_member("bomb-1/after.py", &good[1]), vec![0; 1024]].concat()),
        ]
        .concat(),
    );
    site.write("archives/bomb-2.zip", zip_bomb(&good[1], BOMB_BYTES / 1_000_000));
    // Not a bomb yet, but one line of 300 MB; what follows it is read.
    let long = 288 << 20;
    site.write(
        "archives/line-1.tar.gz",
        [gzip(&tar_header("line-1/line.py", long)), packed(b'a', long), {
            gzip(&[tar_member("line-1/after.py", &good[2]), vec![0; 1024]].concat())
        }]
        .concat(),
    );
    let row = |at: usize| {
        let row = serde_json::json!({"content": good[at], "max_stars_repo_name": "rows/one",
                                     "max_stars_repo_path": format!("row_{at}.py")});
        format!("{row}\n")
    };
    site.write("rows/long.jsonl.gz", [packed(b'{', long), gzip(format!("\n{}", row(3)).as_bytes())].concat());
    site.write("rows/swollen.jsonl.gz", [gzip(row(4).as_bytes()), packed(b' ', BOMB_BYTES)].concat());
    // Files that have holes for data take no space.
    site.write("corpus/folder/fine.py", &good[5]);
    site.write("corpus/folder/line.py", "");
    let line = std::fs::OpenOptions::new().write(true).open(site.path("corpus/folder/line.py")).unwrap();
    line.set_len(400 << 20).unwrap();

    let sources = "[[stages.sources]]\nkind = \"archive\"\npath = \"archives\"\n\n[[stages.sources]]\nkind = \"jsonl\"\n\
                   path = \"rows/*\"\n\n[[stages]]\nname = \"filter\"";
    let pipeline = pipeline(&server.url, 8).replace("[[stages]]\nname = \"filter\"", sources);
    site.write("pipeline.toml", pipeline);
    let mut command = site.command(&["run", "pipeline.toml"]);
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let peak = tokio::spawn(async move {
        let mut peak = 0;
        while let Ok(status) = tokio::fs::read_to_string(&status).await {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A process that has ended and is not waited for yet has no memory.
            let Some(line) = line else { break };
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        peak
    });
    finish(child).await.with(0);
    let peak = peak.await.unwrap();
    assert!((1 << 20..MEMORY_BYTES).contains(&peak), "{} MB at most", peak >> 20);

    let rejected: Vec<(String, String, String)> = sqlx::query_as(
        "select j.class, j.path, j.message from rejections j join stages s on s.id = j.stage_id
         where s.kind = 'ingest' order by 1, 2",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let expected = [
        ("bomb", "bomb-1.tar.gz", "looks like a decompression bomb"),
        ("bomb", "bomb-2.zip", "looks like a decompression bomb"),
        ("bomb", "swollen.jsonl.gz", "looks like a decompression bomb"),
        ("too_large", "line.py", "bytes"),
        ("too_large", "line.py", "bytes"),
        ("too_large", "long.jsonl.gz", "line 1: "),
    ];
    assert_eq!(rejected.len(), expected.len(), "{rejected:#?}");
    for ((class, path, message), (of, at, says)) in rejected.iter().zip(expected) {
        assert!(class == of && path.contains(at) && message.contains(says), "{rejected:#?}");
    }
    let read: Vec<String> =
        sqlx::query_scalar("select path from documents order by path").fetch_all(site.pool()).await.unwrap();
    assert_eq!(read, ["after.py", "before.py", "fine.py", "row_3.py", "row_4.py"]);
    assert_eq!(site.number("select count(*) from pairs").await, 2 * 2 * 5);
}

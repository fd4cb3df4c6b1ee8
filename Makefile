.DEFAULT_GOAL := help
.PHONY: help demo shape sampling test lint bench interop test-llm webgpu setup corpus onnxruntime

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup corpus onnxruntime ## Run the whole pipeline on about 10 MB of Python, against the simulator
	cargo build --release --locked
	cargo run --release --locked --quiet -- run pipelines/quickstart.toml

shape: setup corpus onnxruntime ## Reproduce the shape of the paper's result: PMP, reward models at several data shares
	cargo build --release --locked
	cargo run --release --locked --quiet -- make-benchmark --out out/paper-shape/reasoning --seed 11 --train 800 --test 300 --questions 40 --samples 64
	cargo run --release --locked --quiet -- run pipelines/paper-shape.toml

sampling: setup onnxruntime ## Sample answers to made questions from the simulator, and choose among them by a reward model
	cargo build --release --locked
	cargo run --release --locked --quiet -- make-benchmark --out out/best-of-n/reasoning --seed 11 --train 800 --test 100 --questions 60
	cargo run --release --locked --quiet -- run pipelines/best-of-n.toml

test: setup onnxruntime lint ## Check format, lints and documentation, and run every test
	scripts/test.sh

lint: setup ## Check format, lints and documentation
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

bench: setup corpus ## Run the benchmarks
	CODEPMP_BENCH_ARCHIVES=$(CURDIR)/corpus cargo bench --locked --bench dedupe --bench source_chain --bench copy --bench answers --bench rate

setup: ## Install the system parts that are missing (Debian)
	@scripts/setup.sh

corpus: setup ## Fetch the packages of fixtures/demo-packages.txt into corpus/
	@scripts/fetch-corpus.sh

interop: setup onnxruntime ## Compare rewards with transformers' and onnxruntime's, in a virtual environment of its own
	cargo build --release --locked
	scripts/interop.sh

test-llm: setup ## Ask servers that others wrote: llama.cpp's, with a small model, and llmock, which breaks on demand
	cargo build --release --locked
	scripts/test-llm.sh

webgpu: setup onnxruntime ## Train and score on another execution provider, WebGPU in software, beside the CPU
	cargo build --release --locked
	scripts/webgpu.sh

onnxruntime: setup ## Fetch the ONNX Runtime library, unless one is found
	@scripts/fetch-onnxruntime.sh

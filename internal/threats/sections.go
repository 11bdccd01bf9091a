package threats

// Sections gives the table, attacker by attacker.
func Sections() []Section {
	return []Section{guestSection, engineSection, workerSection, nativeSection, packSection, ownSection}
}

// guest names the runs of guests of testdata/guests, as native code.
func guest(names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{"internal/guests", "TestHostileGuests/native/" + name, true})
	}
	return tests
}

// flaw names the runs of guests as native code and interpreted.
func flaw(names ...string) (tests []Test) {
	tests = guest(names...)
	for _, name := range names {
		tests = append(tests, Test{"internal/guests", "TestHostileGuests/interpreter/" + name, true})
	}
	return tests
}

// in names tests of one package.
func in(pkg string, names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{pkg, name, false})
	}
	return tests
}

// walled names tests of one package that raise walls.
func walled(pkg string, names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{pkg, name, true})
	}
	return tests
}

func all(lists ...[]Test) (tests []Test) {
	for _, l := range lists {
		tests = append(tests, l...)
	}
	return tests
}

var guestSection = Section{
	Title: "A. The guest, by the rules",
	About: "WebAssembly of a stranger that the engine runs as it should. Each is a file in `testdata/guests`.",
	Rows: []Row{
		{"A1", "loops for ever: in a function, in the start function, where the host asks for memory, after it answered", "deadline",
			guest("loop-core", "loop-component", "loop-in-start-core", "loop-in-start-component", "loop-in-realloc", "loop-in-post-return")},
		{"A2", "sleeps, or polls for ever, in a host call that the engine's own deadline does not reach", "deadline", guest("wasi-sleep", "wasi-poll-forever", "memory-fill-slow")},
		{"A3", "grows memory or tables to the limit and goes on; declares, makes or needs many", "memory_limit or trap, naming the limit",
			guest("grow-memory", "grow-memory-touched", "grow-table", "declares-large-memory", "declares-large-table", "many-memories", "many-tables", "many-instances")},
		{"A4", "calls itself until the stack is used up", "trap", guest("recurse", "recurse-large-frames")},
		{"A5", "unreachable code, loads out of bounds, division, bad conversions, indirect calls that do not fit; a trap after it answered", "trap",
			guest("unreachable-core", "unreachable-component", "unreachable-in-realloc", "load-out-of-bounds", "divide-by-zero", "divide-overflow",
				"convert-not-a-number", "indirect-call-null", "indirect-call-mismatch", "trap-in-post-return")},
		{"A6", "an answer over the limit; not JSON; not UTF-8; nested 100,000 deep; the same key twice; a number beyond float64; ill-formed in memory", "output_limit, guest_error or trap",
			guest("output-large-core", "output-large-component", "output-not-json", "output-empty", "output-trailing", "output-not-object", "output-wrong-shape",
				"output-not-utf8-core", "output-not-utf8-component", "output-lone-surrogate", "output-deep", "output-duplicate-keys", "output-number-too-large",
				"output-out-of-bounds-core", "output-out-of-bounds-component", "result-bad-discriminant", "result-out-of-bounds", "result-unaligned", "failure-large")},
		{"A7", "a trap thousands of frames deep in functions whose names are terminal escapes; a failure that would colour a terminal", "bounded and escaped",
			guest("trap-with-hostile-names", "failure")},
		{"A8", "host calls for ever, of 2 MiB, with bad keys and values; logs for ever, with escapes", "hostcall_limit, deadline; logs cut with a count",
			guest("host-call-flood", "host-call-large", "host-call-out-of-bounds", "host-call-bad-keys", "host-call-bad-value", "log-endless", "log-flood", "log-bad-level", "wasi-stdout-flood")},
		{"A9", "imports what nobody offers, or with another type; exports nothing, or something else", "contract_mismatch before any of its code runs, naming it",
			guest("unknown-interface", "unknown-function", "wrong-import-type", "core-import", "core-import-memory", "core-import-wasi", "wasi-wrong-version", "wasi-http",
				"exports-nothing-core", "exports-nothing-component", "no-memory", "run-at-top-level", "run-is-a-memory", "wrong-run-type-core", "wrong-run-type-component")},
		{"A10", "looks for files, sockets, environment and arguments through WASI; forges handles", "the guest sees an error, and no path of the host",
			guest("wasi-filesystem", "wasi-socket", "wasi-environment", "wasi-forged-handle", "wasi-handles", "wasi-exit", "wasi-exit-failure")},
		{"A11", "lifting bombs: a list whose entries are all the same bytes, empty lists, records", "memory_limit in the worker; the supervisor's memory stays flat",
			all(guest("lifting-bomb", "lifting-bomb-bytes", "lifting-bomb-lists", "lifting-bomb-records", "wasi-random-large"),
				walled("supervisor", "TestLiftingBombLeavesTheSupervisorFlat"))},
		{"A12", "a small module that takes minutes, or gigabytes, to compile; 200,000 chained tests; blocks nested 50,000 deep", "compile_failed in the compile worker, or an answer",
			guest("compile-slow", "compile-large", "compile-values", "compile-chain", "compile-nested", "body-ill-typed", "memory-of-64-bits", "memory-shared")},
	},
}

var engineSection = Section{
	Title: "B. Known flaws of the engine",
	About: "Wasmtime 39 gets no fixes. `testdata/guests/advisories.json` is the whole list; a test fails when an entry has neither a guest nor a reason.",
	Rows: []Row{
		{"B1", "CVE-2026-24116: a load of 8 bytes that is widened to 16", "a trap at most: signal-based traps are on", flaw("load-widened-by-copysign")},
		{"B2", "CVE-2026-34943: flags with a bit above the last label", "worker_crash", flaw("flags-beyond-last-label")},
		{"B3", "CVE-2026-34941: UTF-16 text that ends behind its memory", "worker_crash", flaw("string-source-behind-memory")},
		{"B4", "CVE-2026-34942: text is moved to an odd address", "worker_crash", flaw("string-realloc-unaligned")},
		{"B5", "CVE-2026-35195: text is moved to the end of 4 GiB, and written behind it", "worker_crash, in a guard region", flaw("string-realloc-out-of-bounds", "string-realloc-far-out-of-bounds")},
		{"B6", "CVE-2026-44216: a table of 2^61 entries, or grown by that", "compile_failed: 64-bit tables are off", flaw("table-of-64-bits", "table-of-64-bits-grown")},
		{"B7", "CVE-2026-27204: the lifting bombs; lists of 13 million items", "memory_limit", flaw("lifting-bomb", "lifting-bomb-bytes", "lifting-bomb-lists", "lifting-bomb-records")},
		{"B8", "the compiler runs out of stack", "compile_failed or an answer", flaw("compile-chain", "compile-values")},
		{"B9", "Winch, pooling, wasi:http, async, preopened files, threads, GC", "never enabled, never linked",
			all(in("component/wasmtime", "TestLeftOut"), flaw("wasi-http", "async-lift", "core-import-wasi", "wasi-filesystem"))},
		{"B10", "what else was published: widened splats, shifted addresses, branch tables, resource handles", "the verdict in the guest's header",
			flaw("load-widened-by-splat", "load-shifted-address", "branch-table-large", "resource-borrows", "resource-handles")},
		{"B11", "an advisory is published for the pinned engine, or the engine changes", "a test fails until it has a guest or a reason", in("internal/guests", "TestAdvisories")},
	},
}

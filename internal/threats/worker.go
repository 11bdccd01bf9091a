package threats

func taken(names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{"supervisor", "TestTakenOverWorkers/" + name + " in role step", true})
	}
	return tests
}

func late(names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{"supervisor", "TestLateWorkers/" + name, true})
	}
	return tests
}

var workerSection = Section{
	Title: "C1. The worker, taken over: through its socket",
	About: "Personalities of a worker that speaks the protocol up to some point. Each one runs beside a good run and before another, which must end as if they were alone.",
	Rows: []Row{
		{"C1", "stays silent; reads nothing; sends one byte at a time, half a header, half a body", "deadline",
			late("silent in a step", "never reads", "asks and never reads", "half a header", "half a body", "a byte at a time", "frame at its cap and no body")},
		{"C2", "closes the socket; sends garbage; frames that claim 4 GiB", "protocol_violation", taken("closes the socket", "garbage", "4 GiB frame")},
		{"C3", "five bytes that claim 50 million elements; 8 million nested arrays", "protocol_violation, without allocating",
			all(taken("array bomb", "nested arrays"), in("ipc", "TestCheckRefuses"))},
		{"C4", "wrong, missing, repeated ids; the id of another run", "protocol_violation", taken("wrong id", "no id", "id of the step before", "host call of another run", "Sealed with an id")},
		{"C5", "a result that nobody asked for, two results, one after the deadline", "protocol_violation, deadline",
			all(taken("result nobody asked for", "two results", "talks on after its result"), late("result after the deadline"))},
		{"C6", "unknown message types, and every known one in every state in which it may not come", "protocol_violation",
			all(walled("supervisor", "TestEveryMessageWhereItMayNotCome"), in("ipc", "TestEveryTypeInEveryState", "TestFramesRefused"))},
		{"C7", "host calls and answers over the limits, without end; optional frames without end", "protocol_violation",
			taken("endless host calls", "host call over the limit", "output over the limit", "too many optional frames", "optional frame over its cap")},
		{"C8", "invents verdicts, walls, layers, engines; fills texts with noise", "protocol_violation; what is shown is bounded and escaped",
			all(taken("invents a verdict", "verdict of noise", "another engine", "loads another component", "invents a verdict of loading", "result of noise"),
				walled("supervisor", "TestOddWorkersAreServed"))},
		{"C9", "says that walls stand which do not; was built without the seal", "refused: the kernel's report is held against it",
			walled("supervisor", "TestLiesAboutWallsAreFoundOut", "TestAWorkerWithoutASealIsFoundOut")},
		{"C10", "floods standard output and error", "deadline; what is kept is bounded", late("floods stderr", "floods stdout")},
		{"C11", "forks, and lets a child hold its socket and pipes", "all of it ends with the worker",
			walled("supervisor", "TestForkedChildrenEndWithTheWorker", "TestABareWorkersChildHoldsNobodyUp")},
		{"C12", "kills its parent, signals everybody; ignores SIGTERM", "nobody is reached; killed at the deadline",
			all(walled("supervisor", "TestAWorkerReachesNobodyElse"), late("ignores signals"))},
		{"C13", "exits, with any status, in the middle of each state", "worker_crash", walled("supervisor", "TestExitAtEachStation")},
		{"C14", "is killed or stopped at every message boundary, in every role", "worker_crash or deadline; a run beside does not notice",
			all(walled("supervisor", "TestDeathAtEachPhaseTouchesNobodyElse"), walled("supervisor", "TestSignalsAtEachPhaseOfARealWorker"))},
		{"C15", "a compile worker dies, hangs, lies about what it wrote, keeps writing", "compile_failed; nothing of it is cached for others",
			all([]Test{{"supervisor", "TestTakenOverWorkers/compiler dies in role compile", true}, {"supervisor", "TestTakenOverWorkers/compiler lies in role compile", true},
				{"supervisor", "TestTakenOverWorkers/compiler writes a hole in role compile", true}, {"supervisor", "TestTakenOverWorkers/compiler keeps a mapping in role compile", true}},
				late("compiler hangs"), in("supervisor/codecache", "TestForeignAndDamagedEntriesAreMisses"))},
		{"C17", "a probe lies about what its attack gave", "an error, or an attack that counts as not stopped", walled("supervisor", "TestProbesThatLie")},
		{"C16", "all of that, again and again", "no goroutine, descriptor, child or memory is kept", walled("supervisor", "TestHostileWorkersLeaveNothing")},
	},
}

func hostilePack(rows ...string) (tests []Test) {
	for _, row := range rows {
		tests = append(tests, Test{"pack", "TestHostilePacks/" + row, false})
	}
	return tests
}

var packSection = Section{
	Title: "D. The pack",
	About: "Made by generators. Exit code 3, an error that names the entry and the rule, nothing written, bounded memory.",
	Rows: []Row{
		{"D1", "names: path traversal, absolute, drive letters, backslashes, NUL, twice, twice but for case", "refused, naming entry and rule",
			hostilePack("zip: path traversal", "zip: absolute names", "zip: drive letters", "zip: backslashes", "zip: NUL in names",
				"zip: names that differ in case only", "zip: names that are there twice")},
		{"D2", "symlinks, devices, encrypted entries", "refused", hostilePack("zip: symlinks and devices", "zip: encrypted entries")},
		{"D3", "zip64 lies; declared sizes that are not the real ones", "refused", hostilePack("zip: zip64 lies", "zip: declared sizes that differ from the real ones")},
		{"D4", "bombs: nested, by ratio, 100,000 entries", "refused, without inflating them", hostilePack("zip: nested and ratio bombs", "zip: 100,000 entries")},
		{"D5", "CBOR: huge lengths, deep nesting, duplicate keys, indefinite lengths, tags, symbols out of range", "refused",
			hostilePack("CBOR: huge declared lengths", "CBOR: deep nesting", "CBOR: duplicate keys", "CBOR: indefinite lengths", "CBOR: tags", "CBOR: symbol index out of range")},
		{"D6", "YAML alias bombs; JSON depth and size", "refused", hostilePack("YAML: alias bombs", "YAML: alias bombs in questions", "JSON: depth", "JSON: size")},
		{"D7", "flow graphs: cycles, missing nodes, self-routing, 10,000 nodes", "refused, or run within its limits",
			hostilePack("flow graph: cycles", "flow graph: missing nodes", "flow graph: nodes that route to themselves", "flow graph: 10,000 nodes")},
		{"D8", "wasm: truncated, of the wrong layer, with thousands of imports", "refused, compile_failed or contract_mismatch",
			all(hostilePack("wasm: truncated", "wasm: wrong layer"), in("internal/packtest", "TestHostileBinaries/wasm: truncated", "TestHostileBinaries/wasm: wrong layer", "TestHostileBinaries/wasm: thousands of imports"))},
		{"D9", "a hash in an inventory or a lock that is not that of the bytes", "refused", hostilePack("hash in SBOM differs from the bytes", "hash in lock differs from the bytes")},
		{"D10", "cut off at every byte", "refused, never a crash", hostilePack("zip: truncated at every byte")},
		{"D11", "anything else", "either a pack or an error; memory is bounded",
			in("pack", "FuzzOpenBytes", "FuzzManifestJSON", "FuzzManifestCBOR", "FuzzCBOR", "FuzzTar")},
	},
}

var ownSection = Section{
	Title: "E. Our own side",
	About: "Faults of the machine and of whoever runs the program.",
	Rows: []Row{
		{"E1", "the supervisor is killed with SIGKILL at any moment", "no worker is left, no stale file, the same result the next time; what was being applied is finished or undone",
			all(walled("cmd/greentic-provision", "TestKilledAtRandomMoments"), in("commit", "TestKilledAnywhere"))},
		{"E2", "disk full, also for the cache and the store", "one line, the documented exit code, nothing half-written",
			all(in("supervisor", "TestFullCacheDoesNotFailARun"), walled("cmd/greentic-provision", "TestFullDiskOfTheCache"), in("adapters/sqlite", "TestAFullDisk"))},
		{"E3", "a store that is locked, damaged or away", "one line, state as before",
			all(in("adapters/sqlite", "TestDamage"), in("cmd/greentic-provision", "TestStoresThatFail"), in("adapters/postgres", "TestALostConnection"))},
		{"E4", "workers are stopped (SIGSTOP)", "deadline", walled("supervisor", "TestDeathAtEachPhaseTouchesNobodyElse")},
		{"E5", "descriptors run out", "one clear error; it works again once there are some",
			all(walled("supervisor", "TestDescriptorsRunOut"), walled("cmd/greentic-provision", "TestTooFewDescriptors"))},
		{"E6", "many runs in one process", "memory, descriptors, goroutines, processes stay flat", walled("cmd/greentic-provision", "TestSoak")},
		{"E7", "Ctrl-C in any phase, and at the prompt", "exit code 130, nothing left, nothing stored",
			walled("cmd/greentic-provision", "TestInterruptInEachPhase", "TestInterruptAtThePrompt", "TestInterrupt")},
		{"E8", "standard output is closed early", "an error, nothing left", walled("cmd/greentic-provision", "TestReaderOfARunGone", "TestReaderGone")},
		{"E9", "the clock jumps", "deadlines are of the monotonic clock", in("supervisor", "TestDeadlinesGoByTheMonotonicClock")},
	},
}

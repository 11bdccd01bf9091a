package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/greentic-ai/greentic-provision/doctor"
	"github.com/greentic-ai/greentic-provision/limits"
	"github.com/greentic-ai/greentic-provision/limits/cgroup"
	"github.com/greentic-ai/greentic-provision/limits/rlimit"
	"github.com/greentic-ai/greentic-provision/limits/seccomp"
	"github.com/greentic-ai/greentic-provision/limits/seccomp/policy"
	"github.com/greentic-ai/greentic-provision/render"
)

// policyDocument is what limits show --json prints: all that a worker is held to. It
// depends on the flags only, not on the machine.
type policyDocument struct {
	Isolation limits.Isolation `json:"isolation"`
	Codegen   limits.Codegen   `json:"codegen"`
	Limits    []limitDocument  `json:"limits"`
	Walls     []wallDocument   `json:"walls"`
	Workers   []workerDocument `json:"workers"`
	Filters   []filterDocument `json:"filters"`
}

// limitDocument is a limit that has a flag. Value is as the flag takes it.
type limitDocument struct {
	Flag   string `json:"flag"`
	Value  string `json:"value"`
	Number uint64 `json:"number"`
	Unit   string `json:"unit"` // "bytes", "nanoseconds", "calls"
	About  string `json:"about"`
}

type wallDocument struct {
	Name   string `json:"name"`
	About  string `json:"about"`  // what code behind it is
	Needed string `json:"needed"` // "yes", "no", "if the kernel has it"
}

// workerDocument is what the kernel counts of one kind of worker.
type workerDocument struct {
	Role    policy.Role      `json:"role"`
	Rlimits []rlimitDocument `json:"rlimits"`
	Cgroup  cgroupDocument   `json:"cgroup"` // where one can be had
}

// rlimitDocument is a rlimit.Row.
type rlimitDocument struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
	Why   string `json:"why"`
}

// cgroupDocument is a cgroup.Limits.
type cgroupDocument struct {
	Memory limits.Bytes `json:"memory"`
	Pids   int          `json:"pids"`
	CPU    int          `json:"cpu_percent"`
}

// filterDocument is a system-call filter. Hash is that of a receipt.
type filterDocument struct {
	Phase policy.Phase `json:"phase"`
	Role  policy.Role  `json:"role"`
	Arch  string       `json:"arch"`
	Hash  string       `json:"hash"`
	Rules int          `json:"rules"`
}

func (a *app) limitsShow() *cobra.Command {
	sb := sandbox{limits: limits.Default()}
	var asJSON bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Print what a worker is held to",
		Long: `Prints what the flags mean for a worker: the limits, the walls that must stand, what the kernel counts
of each kind of worker and why, and the hashes of the system-call filters, as in the receipt of a
result. Nothing is started, and nothing of this machine is looked at.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := sb.check(""); err != nil {
				return err
			}
			doc, err := effectivePolicy(sb)
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.printJSON(doc)
			}
			return output{to: a.stdout}.write([]byte(render.Sections(doc.sections(), style(a.stdout))))
		},
	}
	fs := c.Flags()
	sb.wallFlags(fs)
	limitFlags(fs, &sb.limits)
	fs.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func effectivePolicy(sb sandbox) (*policyDocument, error) {
	l := sb.limits
	doc := &policyDocument{Isolation: limits.Isolation(sb.isolation), Codegen: limits.Codegen(sb.codegen), Limits: limitDocuments(l)}
	for _, k := range doctor.Kinds() {
		needed := "no"
		switch {
		case k.Standard && doc.Isolation != limits.None:
			needed = "yes"
		case doc.Isolation == limits.Strict:
			needed = "if the kernel has it"
		}
		doc.Walls = append(doc.Walls, wallDocument{k.Name, k.About, needed})
	}
	rlimits := func(data limits.Bytes, budget time.Duration) rlimit.Spec {
		return rlimit.Spec{Data: data, CPU: rlimit.CPUSeconds(budget, busyThreads), Stack: l.Stack, OwnUsers: true}
	}
	doc.Workers = []workerDocument{
		newWorker(policy.Step, rlimit.Step(rlimits(l.Data(), l.RunTime)), cgroup.Step(l.Data())),
		newWorker(policy.Compile, rlimit.Compile(rlimits(l.CompileMemory, l.CompileTime), limits.MaxCode), cgroup.Compile(l.CompileMemory, limits.MaxCode)),
	}
	for _, f := range filters {
		for _, arch := range arches {
			list, program, err := f.program(arch, doc.Codegen)
			if err != nil {
				return nil, err
			}
			doc.Filters = append(doc.Filters, filterDocument{f.phase, f.role, arch.String(), program.Hash(), len(list.For(arch))})
		}
	}
	return doc, nil
}

// busyThreads is as in package supervisor; a test holds the numbers against those of
// a worker.
const busyThreads = 2

func newWorker(role policy.Role, table rlimit.Table, group cgroup.Limits) workerDocument {
	w := workerDocument{Role: role, Cgroup: cgroupDocument(group)}
	for _, row := range table {
		w.Rlimits = append(w.Rlimits, rlimitDocument(row))
	}
	return w
}

// limitDocuments reads the limits off their flags.
func limitDocuments(l limits.Limits) (docs []limitDocument) {
	l.WorkerData = l.Data()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	limitFlags(fs, &l)
	fs.VisitAll(func(f *pflag.Flag) {
		doc := limitDocument{Flag: "--" + f.Name, Value: f.Value.String(), About: f.Usage}
		switch f.Value.Type() {
		case "size":
			doc.Number, doc.Unit = uint64(*f.Value.(sizeFlag).to), "bytes"
		case "duration":
			d, _ := fs.GetDuration(f.Name)
			doc.Number, doc.Unit = uint64(d), "nanoseconds"
		default:
			n, _ := fs.GetInt(f.Name)
			doc.Number, doc.Unit = uint64(n), "calls"
		}
		docs = append(docs, doc)
	})
	return docs
}

// sections is the document for people.
func (d *policyDocument) sections() []render.Section {
	list := []render.Section{
		{Title: "Limits"},
		{Title: "Walls", About: fmt.Sprintf("(isolation %s, codegen %s: which are needed)", d.Isolation, d.Codegen)},
	}
	for _, l := range d.Limits {
		list[0].Rows = append(list[0].Rows, render.Row{Name: l.Flag, Value: l.Value, About: l.About})
	}
	for _, w := range d.Walls {
		list[1].Rows = append(list[1].Rows, render.Row{Name: w.Name, Value: w.Needed, About: "code behind it " + w.About})
	}
	for _, w := range d.Workers {
		s := render.Section{Title: fmt.Sprintf("Resource limits of a %s worker", w.Role), About: "(setrlimit(2); sizes in bytes)"}
		for _, r := range w.Rlimits {
			s.Rows = append(s.Rows, render.Row{Name: r.Name, Value: fmt.Sprint(r.Value), About: r.Why})
		}
		list = append(list, s, render.Section{Title: fmt.Sprintf("Cgroup of a %s worker", w.Role), About: "(where one can be had)", Rows: []render.Row{
			{Name: "memory", Value: w.Cgroup.Memory.String(), About: "of every kind"},
			{Name: "pids", Value: fmt.Sprint(w.Cgroup.Pids), About: "processes and threads"},
			{Name: "cpu", Value: fmt.Sprintf("%d%%", w.Cgroup.CPU), About: "of one processor"},
		}})
	}
	s := render.Section{Title: "System-call filters", About: "(limits dump-seccomp prints them)"}
	for _, f := range d.Filters {
		s.Rows = append(s.Rows, render.Row{Name: fmt.Sprintf("%s %s %s", f.Phase, f.Role, f.Arch), Value: f.Hash, About: fmt.Sprintf("%d rules", f.Rules)})
	}
	return append(list, s)
}

// filter is one of the filters that there are. That of a probe is the step worker's.
type filter struct {
	phase policy.Phase
	role  policy.Role
}

var (
	filters = []filter{{policy.Load, policy.Step}, {policy.Load, policy.Compile}, {policy.Run, policy.Step}}
	arches  = []seccomp.Arch{seccomp.AMD64, seccomp.ARM64}
)

// program assembles the filter for a worker in a pid namespace of its own, as it is
// hashed in a receipt.
func (f filter) program(arch seccomp.Arch, codegen limits.Codegen) (seccomp.Policy, seccomp.Program, error) {
	list, err := policy.For(f.phase, f.role, 1, codegen)
	if err != nil {
		return list, seccomp.Program{}, err
	}
	program, err := seccomp.Assemble(list, arch)
	return list, program, err
}

func (a *app) limitsDumpSeccomp() *cobra.Command {
	var phase, role, arch, codegen string
	c := &cobra.Command{
		Use:   "dump-seccomp",
		Short: "Print a system-call filter",
		Long: `Prints a system-call filter: every call that it lets through, under which conditions and why, and the
program that the kernel runs. Everything else kills the worker. The filter of phase load is in force
while code is compiled and loaded, that of phase run, on top of it, while it runs. Filters of both
kinds of machines can be printed on any.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f := filter{policy.Phase(phase), policy.Role(role)}
			if !slices.Contains(filters, f) {
				return &usageError{what: "--phase, --role", where: quote(phase) + ", " + quote(role), rule: "there is no such filter", hint: "there are " + filterNames()}
			}
			i := slices.IndexFunc(arches, func(a seccomp.Arch) bool { return a.String() == arch })
			if i < 0 {
				return &usageError{what: "--arch", where: quote(arch), rule: "there is no filter for it", hint: "there are amd64 and arm64"}
			}
			if g := limits.Codegen(codegen); g != limits.Native && g != limits.Interpreter {
				return &usageError{what: "--codegen", where: quote(codegen), rule: "is neither native nor interpreter"}
			}
			_, program, err := f.program(arches[i], limits.Codegen(codegen))
			if err != nil {
				return err
			}
			return output{to: a.stdout}.write([]byte(program.Dump()))
		},
	}
	fs := c.Flags()
	fs.StringVar(&phase, "phase", string(policy.Run), "load or run")
	fs.StringVar(&role, "role", string(policy.Step), "of the worker: step or compile")
	fs.StringVar(&arch, "arch", hostArch(), "amd64 or arm64")
	fs.StringVar(&codegen, "codegen", string(limits.Native), "native or interpreter")
	return c
}

// filterNames are the values of --phase and --role that go together.
func filterNames() string {
	var names []string
	for _, f := range filters {
		names = append(names, fmt.Sprintf("--phase %s --role %s", f.phase, f.role))
	}
	return strings.Join(names, ", ")
}

// hostArch is the machine that this program runs on, where there are filters for it.
func hostArch() string {
	if _, err := seccomp.Host(); err != nil {
		return seccomp.AMD64.String()
	}
	return runtime.GOARCH
}

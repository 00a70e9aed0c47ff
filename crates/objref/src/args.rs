//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use objref_analysis::Quantity;

use crate::failure::Usage;

mod check;
mod diff;

pub(crate) use check::{CheckArgs, CheckFormat, Report};
pub(crate) use diff::{DiffArgs, DiffFormat};

// Paragraphs with a heading; they become sections of the manual pages, and the tests run the examples.
const AFTER_HELP: &str = "\
Examples:
  objref core --exe server > ref.svg        who keeps what alive, as a picture
  objref core --exe server -o heap.html     the same with tables, as a page to walk about in
  objref core --exe server                  the numbers, on a terminal
  objref core --exe server -o heap.pb.gz    for go tool pprof -http=: heap.pb.gz
  objref core --exe server -o heap.speedscope.json
  objref core --exe server -o heap.dot --max-frames 30
  objref core --exe server -o heap.tree.json
  objref summary core --format json         the numbers for programs
  objref objects core -o heap.tsv           every reachable object
  objref types core --unknown               what it is made of, and what has no type
  objref goroutines core --filter net/http  what they wait for, by stack
  objref top core                           which roots retain the most
  objref top core --by type --focus Page    which types do, of those with such names
  objref tree core --from main.Session      what objects of a type retain, unfolded
  objref why core 0xc000123000              who holds an object, and all of its kind
  objref diff core core2 --exe server       what has grown from one dump to the next

Input:
  Cores and binaries may be compressed with zstd, gzip, lz4 or xz. They are told
  apart by what they are, so their order does not matter.

Extensions:
  .svg .folded                the picture, and the same for flame graph tools
  .html                       the picture and tables, as a page to walk about in
  .pb.gz .pprof               the tree as a profile for go tool pprof
  .speedscope.json            the tree for speedscope.app
  .dot                        the biggest frames for graphviz
  .tree.json                  the tree for programs
  .txt .json                  the summary, for people and for programs
  .tsv                        every reachable object

Exit status:
  0 done
  1 a check failed, or verify found a contradiction
  2 the command line makes no sense
  3 the input cannot be used or the output not be written";

const SUMMARY_HELP: &str = "\
Examples:
  objref summary core --exe server
  objref summary core --exe server -o summary.json";

const OBJECTS_HELP: &str = "\
Examples:
  objref objects core --exe server | sort -k2,2nr | head
  objref objects core --exe server -o heap.tsv";

const TYPES_HELP: &str = "\
Examples:
  objref types core --exe server -n 10
  objref types core --exe server --group package
  objref types core --exe server --unknown";

const GOROUTINES_HELP: &str = "\
Examples:
  objref goroutines core --exe server
  objref goroutines core --exe server --group-by creator
  objref goroutines core --exe server --all --filter 'main\\.report' -o leaked.json";

const TOP_HELP: &str = "\
Examples:
  objref top core --exe server
  objref top core --exe server --by type --focus Session
  objref top core --exe server --by object --ignore '^runtime' -n 5";

const TREE_HELP: &str = "\
Examples:
  objref tree core --exe server --min 2
  objref tree core --exe server --from shared
  objref tree core --exe server --from main.Session -n 10 -o session.json";

const OBJECT_HELP: &str = "\
Examples:
  objref object core 0xc000123000
  objref object core 0xc000123000 --raw --depth 4 -n 100";

const WHY_HELP: &str = "\
Examples:
  objref why core 0xc000123000           the ways from the roots to an object
  objref why core '[]byte'               who holds all objects of a type
  objref why core main.server             what a root holds
  objref why core main.Conn --exclude weak,finalizer,pool";

const INDEX_HELP: &str = "\
Examples:
  objref index core --exe server -o heap.objref  and then objref heap.objref
  objref index core --exe server --redact -o shared.objref";

const VERIFY_HELP: &str = "\
Examples:
  objref verify core --exe server
  objref verify core --exe server --format json";

const COMPLETIONS_HELP: &str = "\
Examples:
  objref completions bash > objref.bash  and source it, or put it where bash-completion looks
  objref completions zsh -o _objref      into a folder of $fpath
  objref completions fish -o objref.fish";

const MAN_HELP: &str = "\
Examples:
  objref man > objref.1  and man ./objref.1
  objref man goroutines
  objref man -o man1";

/// Who keeps what alive in a core of a Go program.
///
/// Reads an ELF core of a Go process and its binary, rebuilds the graph of its heap objects, and
/// draws every object under the shortest chain of references that holds it.
#[derive(Parser, Debug)]
#[command(
    name = "objref",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = AFTER_HELP
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) main: MainArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// The numbers of the dump on one page
    #[command(after_help = SUMMARY_HELP)]
    Summary(SummaryArgs),
    /// Every reachable object: address, size, type, and what holds it
    #[command(after_help = OBJECTS_HELP)]
    Objects(ObjectsArgs),
    /// The histogram of types: how many objects of which type, and how sure that is
    #[command(after_help = TYPES_HELP)]
    Types(TypesArgs),
    /// What the goroutines wait for, those on the same stack put together
    #[command(after_help = GOROUTINES_HELP)]
    Goroutines(GoroutinesArgs),
    /// What retains the most: which roots, types, packages, goroutines or objects
    #[command(after_help = TOP_HELP)]
    Top(TopArgs),
    /// What retains what, unfolded as far as it matters
    #[command(after_help = TREE_HELP)]
    Tree(TreeArgs),
    /// Who holds an object, or all objects of a type, and what a root holds
    #[command(after_help = WHY_HELP)]
    Why(WhyArgs),
    /// All that is known of one object, and what is in it
    #[command(after_help = OBJECT_HELP)]
    Object(ObjectArgs),
    /// Hold the heap against rules and against what it was before; status 1 if it fails
    #[command(after_help = check::HELP)]
    Check(CheckArgs),
    /// Save what was found, to be opened instead of the core: in no time, and without it
    #[command(after_help = INDEX_HELP)]
    Index(IndexArgs),
    /// What has grown from one dump to the next, and what became of the objects
    #[command(after_help = diff::HELP)]
    Diff(DiffArgs),
    /// Check the graph against the runtime's own evidence; status 1 if they contradict each other
    #[command(after_help = VERIFY_HELP)]
    Verify(SummaryArgs),
    /// A script that completes command lines in a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// The manual page, of all or of a command
    #[command(after_help = MAN_HELP)]
    Man(ManArgs),
}

/// The main job.
#[derive(ClapArgs, Debug)]
pub(crate) struct MainArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else svg, or text on a terminal
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) flame: FlameArgs,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ObjectsArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "tsv")]
    pub(crate) format: ObjectsFormat,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct TypesArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
    /// By what to put objects together
    #[arg(long, value_name = "BY", default_value = "type")]
    pub(crate) group: TypeGroupArg,
    /// Say why objects have no type: by what refers to them, and their size
    #[arg(long)]
    pub(crate) unknown: bool,
    /// Show the N biggest at most; 0 is all [default: 30 in text]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(ClapArgs, Debug)]
#[command(mut_arg("files", |files| with_last(files, "WHAT", "The core, then what to explain: an \
    address (0x…), a type (full, short, or a regular expression), or a root such as main.cache")))]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<WhyFormat>,
    /// Of an object, show N paths at most that have nothing in common
    #[arg(short = 'k', long, value_name = "N", default_value = "3",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) paths: u16,
    /// Leave out what only these hold
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) exclude: Vec<ExcludeArg>,
}

#[derive(ClapArgs, Debug)]
#[command(mut_arg("files", |files| with_last(files, "ADDR", "The core, then an address (0x…) in \
    the object; an index may stand between them")))]
pub(crate) struct ObjectArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
    /// The bytes of its slot, too
    #[arg(long)]
    pub(crate) raw: bool,
    /// Values in values, N deep
    #[arg(long, value_name = "N", default_value = "2",
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) depth: u8,
    /// Show N references each way, and N elements of each slice and map
    #[arg(short = 'n', long, value_name = "N", default_value = "20")]
    pub(crate) limit: u16,
}

/// The files of a command whose last argument is something else.
fn with_last(files: clap::Arg, name: &'static str, help: &'static str) -> clap::Arg {
    // Options may stand between them, so that they are counted later.
    files.num_args(1..=3).value_names(["CORE", name]).help(help)
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhyFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// The ways as a graph for graphviz
    Dot,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExcludeArg {
    /// Handles of weak pointers
    Weak,
    /// Finalizers and cleanups
    Finalizer,
    /// The contents of every sync.Pool
    Pool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct IndexArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Leave out the command line, paths and labels: only shape, types and sizes are kept
    #[arg(long)]
    pub(crate) redact: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct GoroutinesArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
    /// Each goroutine by itself, those of the runtime too
    #[arg(long, conflicts_with = "group_by")]
    pub(crate) all: bool,
    /// By what to put them together
    #[arg(long, value_name = "BY", default_value = "stack")]
    pub(crate) group_by: GroupByArg,
    /// Only those with a function on the stack that this regular expression matches
    #[arg(long, value_name = "REGEX")]
    pub(crate) filter: Option<regex::Regex>,
    /// Show N groups, or goroutines, at most; 0 is all [default: 20 groups in text]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Goroutines and frames of the runtime too
    #[arg(long)]
    pub(crate) system: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
    /// What the rows stand for
    #[arg(long, value_name = "BY", default_value = "root")]
    pub(crate) by: TopByArg,
    /// What comes first
    #[arg(long, value_name = "BY", default_value = "retained")]
    pub(crate) sort: TopSortArg,
    /// Only rows with a name that this regular expression matches; objects also if it matches what
    /// alone keeps them alive
    #[arg(long, value_name = "REGEX")]
    pub(crate) focus: Option<regex::Regex>,
    /// No rows with such a name
    #[arg(long, value_name = "REGEX")]
    pub(crate) ignore: Option<regex::Regex>,
    /// Show N rows at most; 0 is all [default: 20 in text, and of objects]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct TreeArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SummaryFormat>,
    /// Start there: a root (main.cache), an object (0xc000012340) or all objects of a type
    /// (main.Session); a part of a name will do if no other root or type has it
    #[arg(long, value_name = "START")]
    pub(crate) from: Option<String>,
    /// Leave out what is less than this part of what is shown, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "1")]
    pub(crate) min: f64,
    /// Leave out what is further than this from the top
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) depth: u32,
    /// Show the N biggest lines at most; 0 is all [default: 100 in text]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Objects that the same field holds as one line, which is the default
    #[arg(long, overrides_with = "no_merge")]
    pub(crate) merge: bool,
    /// Each object that is big enough by itself, with its address
    #[arg(long)]
    pub(crate) no_merge: bool,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub(crate) struct ManArgs {
    /// The command that the page is about
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Write all pages into this folder
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) output: Option<PathBuf>,
}

/// What every command that reads a core takes.
#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct CommonArgs {
    /// The core; its binary may stand here too. Or an index of the core, see `objref index`
    #[arg(value_name = "CORE", required = true, num_args = 1..=2)]
    pub(crate) files: Vec<PathBuf>,
    /// The binary that was running; without it, it is looked for beside the core and where the
    /// core says it was
    #[arg(long, value_name = "BIN")]
    pub(crate) exe: Vec<PathBuf>,
    /// The file that the binary's debug information was moved to; without it, it is looked for by
    /// build id and by the binary's debug link
    #[arg(long, value_name = "FILE")]
    pub(crate) debug_file: Option<PathBuf>,
    /// Where files of debug information are kept by build id and by path; may be given again
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/debug")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Write here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Open CORE.objref instead of the core if it is there, and write it if it is not
    #[arg(long)]
    pub(crate) index: bool,
    /// Go on although the binary, or the debug file, is not of the build that was running
    #[arg(long)]
    pub(crate) force: bool,
    /// Threads to work with [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Use no more memory than this, and an unlinked file in TMPDIR for the rest: "500 MB", "1.5GiB"
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory_limit: Option<u64>,
    /// Say what is done, how long it takes and how much memory
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
    /// No warnings, no progress; only errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say in the end what each phase cost: time, reading, memory
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(crate) stats: Option<StatsFormat>,
    /// Whether to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// A number of bytes, as people write it.
fn size(text: &str) -> Result<u64, String> {
    match Quantity::parse(text) {
        Some(Quantity::Bytes(bytes)) => Ok(bytes),
        _ => Err(
            "a size is a number of bytes, or one with a unit: \"500 MB\", \"1.5GiB\"".to_owned(),
        ),
    }
}

impl CommonArgs {
    /// The last of the files taken for what it is of a command that explains something, and the rest.
    pub(crate) fn split_last(&self) -> Result<(CommonArgs, String), Usage> {
        let mut common = self.clone();
        match (common.files.pop(), common.files.len()) {
            (Some(last), 1..=2) => Ok((common, last.to_string_lossy().into_owned())),
            _ => Err(Usage(
                "give the core, and then what to explain: an address, a type or a root".to_owned(),
            )),
        }
    }
}

/// How the tree of references is cut and drawn.
#[derive(ClapArgs, Debug)]
#[command(next_help_heading = "The picture")]
pub(crate) struct FlameArgs {
    /// Each object under the shortest path that holds it, or under what would free it (retained size)
    #[arg(long, value_name = "TREE", default_value = "path")]
    pub(crate) tree: TreeArg,
    /// What the width of a frame stands for
    #[arg(long, value_name = "METRIC", default_value = "bytes")]
    pub(crate) metric: MetricArg,
    /// Leave out frames with less than this part of the whole, in percent [default: 0.05; 0 in html,
    /// which can be zoomed further]
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) min_width: Option<f64>,
    /// Leave out frames further than this from the root
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) max_depth: u32,
    /// Draw the N biggest frames at most [default: 10000, of dot 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_frames: Option<u64>,
    /// Goroutines that stand in the same place as one, or each by itself
    #[arg(long, value_name = "HOW", default_value = "merged")]
    pub(crate) goroutines: Goroutines,
    /// Roots at the top, as icicles hang, or at the bottom, as flames rise
    #[arg(long, value_name = "LAYOUT", default_value = "icicle")]
    pub(crate) layout: Layout,
    /// Siblings with the biggest first, or by name, to lay two pictures side by side
    #[arg(long, value_name = "BY", default_value = "size")]
    pub(crate) sort: Sort,
    /// The headline
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The picture
    Svg,
    /// The picture and tables of frames and types, on a page to walk about in
    Html,
    /// The picture as lines for other flame graph tools
    Folded,
    /// The tree as a profile for go tool pprof: inuse_space, inuse_objects
    Pprof,
    /// The tree for speedscope.app
    Speedscope,
    /// The biggest frames as boxes and arrows, for graphviz
    Dot,
    /// The tree for programs
    TreeJson,
    /// The summary for people
    Text,
    /// The summary for programs
    Json,
    /// Every reachable object
    Tsv,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SummaryFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectsFormat {
    /// Tab-separated values with a header line
    Tsv,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeGroupArg {
    /// Their type
    Type,
    /// The package that declares it
    Package,
    /// Struct, string, map, closure, ...
    Kind,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupByArg {
    /// The same functions at the same lines
    Stack,
    /// The go statement that started them
    Creator,
    /// Their profiler labels
    Label,
    /// What they do or wait for
    Wait,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopByArg {
    /// Variables, goroutines by the function they started with, what the runtime holds
    Root,
    /// The objects of a type together
    Type,
    /// The objects of all types of a package together
    Package,
    /// Goroutines by the function they started with
    Goroutine,
    /// Each object
    Object,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopSortArg {
    /// What would be freed with it
    Retained,
    /// Its own bytes
    Shallow,
    /// The number of objects
    Objects,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeArg {
    /// Held along the shortest path
    Path,
    /// Retained: what the collector would free if it went away
    Dominator,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricArg {
    /// Bytes of the objects
    Bytes,
    /// Number of objects
    Objects,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goroutines {
    /// As one
    Merged,
    /// Each by itself
    Each,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Roots at the top
    Icicle,
    /// Roots at the bottom
    Flame,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The biggest first
    Size,
    /// By name
    Name,
}

/// How `--stats` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatsFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a number from 0 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_main_job_needs_no_subcommand() {
        let args = Args::try_parse_from(["objref", "core", "--exe", "bin", "-v"]).unwrap();
        assert!(args.command.is_none());
        assert_eq!(args.main.common.files, [PathBuf::from("core")]);
        assert!(args.main.common.verbose);

        let args = Args::try_parse_from(["objref", "summary", "core", "bin"]).unwrap();
        let Some(Command::Summary(summary)) = args.command else {
            panic!("{args:?}")
        };
        assert_eq!(summary.common.files.len(), 2);
    }

    #[test]
    fn the_last_of_merge_and_no_merge_counts() {
        for (line, no_merge) in [
            (&["objref", "tree", "core"][..], false),
            (&["objref", "tree", "core", "--no-merge"], true),
            (&["objref", "tree", "core", "--merge", "--no-merge"], true),
            (&["objref", "tree", "core", "--no-merge", "--merge"], false),
        ] {
            let Some(Command::Tree(args)) = Args::try_parse_from(line).unwrap().command else {
                panic!("{line:?}")
            };
            assert_eq!(args.no_merge, no_merge, "{line:?}");
        }
    }

    #[test]
    fn what_to_explain_comes_last() {
        for count in [1, 4] {
            let line = ["objref", "why"]
                .into_iter()
                .chain(std::iter::repeat_n("x", count));
            let args = Args::try_parse_from(line).map(|args| args.command);
            assert!(match args {
                Ok(Some(Command::Why(why))) => why.common.split_last().is_err(),
                error => error.is_err(),
            });
        }
        for line in [
            &["objref", "why", "core", "main.T"][..],
            &["objref", "why", "core", "--exe", "bin", "main.T", "-k", "1"],
            &["objref", "why", "-k", "2", "core", "bin", "main.T"],
        ] {
            let Some(Command::Why(why)) = Args::try_parse_from(line).unwrap().command else {
                panic!("{line:?}")
            };
            let (common, what) = why.common.split_last().unwrap();
            assert_eq!((common.files[0].to_str(), &*what), (Some("core"), "main.T"));
        }
    }

    #[test]
    fn what_makes_no_sense() {
        for line in [
            &["objref", "summary"][..],
            &["objref", "a", "b", "c"],
            &["objref", "core", "-v", "-q"],
            &["objref", "core", "--min-width", "101"],
            &["objref", "core", "--threads", "0"],
            &["objref", "core", "--format", "pdf"],
            &["objref", "objects", "core", "--format", "json"],
            &["objref", "top", "core", "--by", "colour"],
            &["objref", "top", "core", "--focus", "("],
            &["objref", "tree", "core", "--min", "101"],
            &["objref", "why"],
            &["objref", "why", "core", "0x1", "--exclude", "strong"],
        ] {
            let error = Args::try_parse_from(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}

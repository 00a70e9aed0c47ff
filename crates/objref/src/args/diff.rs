//! The command line of `objref diff`.

use clap::{Args as ClapArgs, ValueEnum};

use super::{CommonArgs, Layout, MetricArg, percent};

pub(super) const HELP: &str = "\
Examples:
  objref diff core core2 --exe server                  what has grown, by type, root and path
  objref diff core core2 --exe server -o grown.svg     grown in red, shrunk in blue
  objref diff core core2 --exe server -o grown.folded  for flamegraph.pl and inferno
  objref diff core core2 core3 --exe server -n 5       only what grew in every step

Input:
  Each is a core or an index. Of cores, --exe names the binary: once for all of them,
  or once for each in their order. The binary, the build and the process are told by
  what the dumps say of themselves.";

#[derive(ClapArgs, Debug)]
#[command(mut_arg("files", |files| files.num_args(2..).value_names(["OLD", "NEW"])
    .help("The dumps, the oldest first: cores or indexes")))]
#[command(mut_arg("exe", |exe| exe.help("The binary of all cores, or given again, of each in their order; without \
    it, it is looked for as ever")))]
#[command(mut_arg("force", |force| force.help("Go on although a binary, or a debug file, is not of the build that was \
    running; and compare different programs")))]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<DiffFormat>,
    /// By what rows are sorted, and what the width of a frame stands for
    #[arg(long, value_name = "METRIC", default_value = "bytes")]
    pub(crate) metric: MetricArg,
    /// Show N rows of each table at most; 0 is all [default: 20 in text]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Take them for dumps of one process, whatever they say: slots with the same address are compared
    #[arg(long, overrides_with = "no_same_process")]
    pub(crate) same_process: bool,
    /// Take them for dumps of different processes, whatever they say
    #[arg(long)]
    pub(crate) no_same_process: bool,
    /// In pictures, leave out frames with less than this part of the whole, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "0.05")]
    pub(crate) min_width: f64,
    /// In pictures, leave out frames further than this from the root
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) max_depth: u32,
    /// In pictures, draw the N biggest frames at most
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_frames: u32,
    /// Roots at the top, as icicles hang, or at the bottom, as flames rise
    #[arg(long, value_name = "LAYOUT", default_value = "icicle")]
    pub(crate) layout: Layout,
    /// The headline of the picture
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiffFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// The frames of the first and the last dump as a picture, grown in red and shrunk in blue
    Svg,
    /// The same as lines with both numbers, for other flame graph tools
    Folded,
}

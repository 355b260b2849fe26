//! `holdfast restore-test SERVICE`: proof that the service's data comes back, and how fast.

use domain::work::Selection;

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service's name
    service: String,
    /// Test the newest snapshots of so many items, chosen at random
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    sample: Option<i64>,
    /// Test the newest snapshot of every item
    #[arg(long)]
    all: bool,
    /// Test by this definition of the service
    #[arg(long, value_name = "NAME", conflicts_with_all = ["sample", "all"])]
    definition: Option<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let selection = match args.sample {
        Some(count) => Selection::Sample { count },
        None if args.all => Selection::All,
        None => Selection::Latest,
    };
    let begin = async || {
        Ok(vec![match &args.definition {
            Some(name) => ops::restore_tests::start_by(&ctx, &args.service, name).await?,
            None => ops::restore_tests::start(&ctx, &args.service, selection).await?,
        }])
    };
    follow::start(shell, &ctx, args.json, Underway::IsTheSame, begin).await
}

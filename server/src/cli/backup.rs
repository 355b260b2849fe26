//! `holdfast backup SERVICE[/SOURCE]`: one run for each source, here and now.

use super::{
    Result, Shell,
    follow::{self, Underway},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, or one of its sources
    #[arg(value_name = "SERVICE[/SOURCE]")]
    what: String,
    /// Only this item; may be given several times
    #[arg(long = "item", value_name = "NAME")]
    items: Vec<String>,
    /// Print one JSON object as the last line
    #[arg(long)]
    json: bool,
}

pub async fn run(shell: &Shell, args: Args) -> Result<u8> {
    let ctx = shell.open().await?;
    let (service, source) = match args.what.split_once('/') {
        Some((service, source)) => (service, Some(source)),
        None => (args.what.as_str(), None),
    };
    let items = (!args.items.is_empty()).then_some(args.items);
    follow::start(shell, &ctx, args.json, Underway::IsTheSame, async || ops::backups::start(&ctx, service, source, items.clone()).await).await
}

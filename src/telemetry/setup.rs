//! From the environment to a subscriber: the log to standard error, spans to an OTLP collector.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing::Subscriber;
use tracing_subscriber::filter::{FilterExt, ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What is logged unless `TIDEGATE_LOG` or `RUST_LOG` says otherwise.
const FILTER: &str = "warn,tidegate=info";
const SERVICE: &str = "tidegate";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged and traced, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// In the syntax of `tracing_subscriber::EnvFilter`, like `warn,tidegate=debug`.
    pub filter: String,
    pub format: Format,
    pub color: bool,
    /// Full URL of the collector's traces; none: no span is recorded.
    pub traces: Option<String>,
    /// None: `OTEL_RESOURCE_ATTRIBUTES` names the service.
    pub service: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("{filter:?} is no log filter; write one like warn,tidegate=debug in TIDEGATE_LOG or RUST_LOG")]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
    #[error("cannot export traces to {endpoint}; check the OTEL_EXPORTER_OTLP_ variables")]
    Exporter {
        endpoint: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("logging was set up before")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

impl Settings {
    /// Reads `TIDEGATE_LOG`, else `RUST_LOG`; `NO_COLOR`; and the standard `OTEL_*` variables.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>, format: Format) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let service_given = set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name="));
        let service = set("OTEL_SERVICE_NAME").or_else(|| (!service_given).then(|| SERVICE.to_owned()));
        Settings {
            filter: set("TIDEGATE_LOG").or_else(|| set("RUST_LOG")).unwrap_or_else(|| FILTER.to_owned()),
            format,
            color: std::io::stderr().is_terminal() && set("NO_COLOR").is_none(),
            traces: traces_endpoint(&set),
            service,
        }
    }
}

/// The endpoint for traces is taken as it is; to the one for all signals, the path of traces is added (OTLP exporter
/// specification).
fn traces_endpoint(set: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exported = set("OTEL_TRACES_EXPORTER").is_none_or(|value| value == "otlp");
    if disabled || !exported {
        return None;
    }
    let all = || set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| format!("{}/v1/traces", url.trim_end_matches('/')));
    set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(all)
}

/// Keeps the export of spans alive; sends what is left when it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it ends the export of spans"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // An unreachable collector has been told of by the exporter; the process ends all the same.
        if let Some(provider) = self.provider.take() {
            let _ = provider.shutdown();
        }
    }
}

/// Sets up the process's logs and spans. With traces, call and drop the guard inside a tokio runtime of several threads.
pub fn init(settings: &Settings) -> Result<Guard, TelemetryError> {
    let (subscriber, guard) = build(settings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Twice)?;
    Ok(guard)
}

pub(super) fn build<W>(
    settings: &Settings,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let provider = settings.traces.as_deref().map(|endpoint| provider(endpoint, settings.service.as_deref()));
    let provider = provider.transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_filter(Targets::new().with_target("tidegate", tracing::Level::INFO))
    });
    let subscriber = Registry::default().with(log(settings, writer)?).with(spans);
    Ok((subscriber, Guard { provider }))
}

/// Log lines name the event and the function themselves, so spans are left to the collector.
fn log<S, W>(settings: &Settings, writer: W) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.filter.clone(), source })?;
    let filter = filter.and(filter_fn(|metadata| metadata.is_event()));
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(settings.color);
    Ok(match settings.format {
        Format::Text => layer.with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

fn provider(endpoint: &str, service: Option<&str>) -> Result<SdkTracerProvider, TelemetryError> {
    // The exporter's client takes its cryptography from the process; whoever set it before has set the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source: source.into() })?;
    let resource = Resource::builder();
    let resource = match service {
        Some(name) => resource.with_service_name(name.to_owned()),
        None => resource,
    };
    Ok(SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_span_processor(BatchSpanProcessor::builder(exporter, Tokio).build())
        .build())
}

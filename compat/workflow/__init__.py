"""Where training, embedding and certifying meet the registry: the only place that knows both."""

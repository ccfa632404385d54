"""The only place that knows SQLAlchemy. Functions take a connection first and never commit."""

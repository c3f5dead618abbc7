"""Read models and live dashboards, built from the topics only."""

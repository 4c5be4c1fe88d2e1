"""One small widget a panel; they show the controller's state and call its actions."""

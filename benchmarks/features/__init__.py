"""What each feature of the metrics package costs, switched on and off."""

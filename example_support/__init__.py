"""What all examples share, whatever their ORM: the transcript, the driver under test, and facts about protocols."""

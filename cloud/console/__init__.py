"""The console's shell: layout, navigation, texts, figures. What a page says is its capability's."""

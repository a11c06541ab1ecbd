-- In which groups a node was observed: one that another group has adopted isn't left behind any more.
CREATE INDEX observed_node_by_node ON observed_node (node_id);

/** Version of the messages between node, server and browser. Sides with different versions refuse each other. */
export const protocolVersion = 8

import Database
import Events

extension Source {
    static let columns: Query = """
        id, name, url, width, height, refresh_rate, css_custom, js_custom, is_active, created_at, updated_at, activated_at,
        deactivated_at
        """

    init(_ row: Row) throws(DatabaseError) {
        self.init(
            id: try row.decode("id"), name: try row.decode("name"), url: try row.decode("url"),
            width: try row.decode("width"),
            height: try row.decode("height"), refreshRate: try row.decode("refresh_rate"),
            cssCustom: try row.decode("css_custom"), jsCustom: try row.decode("js_custom"),
            isActive: try row.decode("is_active"), createdAt: try row.decode("created_at"),
            updatedAt: try row.decode("updated_at"), activatedAt: try row.decode("activated_at"),
            deactivatedAt: try row.decode("deactivated_at"))
    }
}
